"""The pages: their numbers, their warnings, well formed and self-contained."""

import re
import subprocess
import sys
from html import parser

import fake_study
import pytest

from ssl_jax import report
from ssl_jax.report import html, read

VOID = {'meta', 'img', 'source', 'br', 'hr', 'link'}


class Page(parser.HTMLParser):
  """Collects images, text and links; fails where tags do not nest."""

  def __init__(self, text: str):
    super().__init__()
    self.open, self.images, self.addresses, self.words = [], [], [], []
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.addresses += [attrs[a] for a in ('src', 'srcset', 'href') if a in attrs]
    if tag == 'img':
      self.images.append(attrs)
    if tag not in VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.words.append(data)

  @property
  def text(self) -> str:
    return re.sub(r'\s+', ' ', ''.join(self.words))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A study with its report, written once: figures take seconds."""
  folder = fake_study.write(tmp_path_factory.mktemp('study'))
  assert report.write(folder) == folder / 'report' / 'index.html'
  return folder / 'report'


def read_page(path) -> Page:
  return Page(path.read_text(encoding='utf-8'))


def test_page_is_well_formed_self_contained_and_has_alt_texts(folder):
  page = read_page(folder / 'index.html')
  assert len(page.images) == 5
  assert all(len(image['alt']) > 20 for image in page.images)
  assert page.addresses and all(a.startswith('data:') for a in page.addresses)


def test_page_tells_what_was_run_and_the_numbers(folder):
  page = read_page(folder / 'index.html')
  for text in ('A fake study', 'Numbers by hand.', 'three shapes', '1 CPU', 'abc1234',
               'python -m ssl_jax.study', '92.00 ± 2.65 (3)', '93.00 (1)', '54.16',
               'SimCLR is 21.0 points above random', 'Incomplete: 13 of 18',
               'supervised, seed 0 (kNN)', '<i>'):
    assert text in page.text, text
  assert 'Rehearsal' not in page.text


def test_markdown_has_the_same_numbers_and_its_figures_exist(folder):
  text = (folder / 'report.md').read_text(encoding='utf-8')
  assert '| SimCLR | 92.00 ± 2.65 (3) | 54.16 | 87.00 ± 1.00 (3) |' in text
  assert 'SimCLR is 21.0 points above random' in text
  links = re.findall(r'\]\((figures/[^)]+)\)', text)
  assert len(links) == 5
  for link in links:
    assert (folder / link).stat().st_size > 1000
    assert (folder / link).with_suffix('.svg').is_file()


def test_csv_lies_beside(folder):
  assert len((folder / 'results.csv').read_text().splitlines()) == 1 + 13


def test_a_rehearsal_says_so_everywhere(tmp_path):
  study = read.study(fake_study.write(tmp_path, rehearsal=True))
  page = Page(html.page(study, []))
  assert page.text.count('Rehearsal') == 2  # the tab's title and the banner
  assert 'Rehearsal' in html.markdown(study, [])
  assert report.summary(tmp_path).startswith('Rehearsal')


def test_titles_and_labels_cannot_inject_markup(tmp_path):
  study = read.study(fake_study.write(tmp_path, title='<script>x</script>',
                                      labels={'simclr': '<script>'}))
  assert '<script' not in html.page(study, [])


def test_a_study_that_has_just_begun(tmp_path):
  page = read_page(report.write(
      fake_study.write(tmp_path, {'simclr': {}}, published=[])))
  assert 'Incomplete: 0 of 6' in page.text
  assert not page.images
  assert '–' in report.summary(tmp_path)


@pytest.mark.parametrize('module', ['ssl_jax.report', 'ssl_jax.make_report'])
def test_reports_need_no_jax(module):
  code = (f'import sys, {module}; '
          'sys.exit(str({"jax", "flax", "optax"} & set(sys.modules) or ""))')
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert done.stderr.strip() == ''
