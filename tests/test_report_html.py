"""The pages: their numbers, their warnings, well formed and self-contained."""

import re
import subprocess
import sys
from html import parser

import fake_study
import pytest

from ssl_jax import report
from ssl_jax.report import heatmap, html, plots, read

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
  sentence = 'Rehearsal at scale 0.05: epochs x 0.05.'
  study = read.study(fake_study.write(tmp_path, rehearsal=sentence))
  page = Page(html.page(study, []))
  assert page.text.count('Rehearsal') == 2  # the tab's title and the banner
  assert page.text.index(sentence) < page.text.index('Numbers by hand.')
  assert html.markdown(study, []).startswith(f'> **{sentence}**')
  assert report.summary(tmp_path).startswith(sentence)
  assert all(plot.footer == sentence for plot in plots.plots(study))


def test_both_tables_and_the_sentences_of_a_study_by_labels(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  page, text = Page(html.page(study, [])).text, html.markdown(study, [])
  for shown in (page, text, report.summary(tmp_path)):
    assert '82.00 ± 1.41 (2)' in shown and '89.00 ± 1.41 (2)' in shown
  assert '| SimCLR, Linear | 81.00 ± 1.41 (2) | – |  |  |' in text
  for shown in (page, text):
    assert 'SimCLR, Fine-tuning minus the published figures' in shown


def test_the_table_of_a_grid_stands_under_its_figure(tmp_path):
  study = read.study(fake_study.grid(tmp_path))
  drawn = list(heatmap.plots(study))
  page, text = Page(html.page(study, drawn)).text, html.markdown(study, drawn)
  for shown in (page, text):
    assert shown.index('Diagonal: a single one') < shown.index('62.0 ± 2.8 (2)')
  assert '62.0 ± 2.8 (2)' in report.summary(tmp_path)


def test_of_many_missing_runs_a_few_are_named(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {f'm{i}': {} for i in range(9)}, published=[], seeds=[0]))
  (warning,) = html.warnings(study)
  assert warning.startswith('Incomplete: 0 of 18 ')
  assert warning.endswith('m5, seed 0 (Linear probe, kNN); and 3 more runs.')


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
