"""Tests the pages: numbers, warnings, well-formed HTML, no external files."""

import base64
import dataclasses
import json
import re
from html import parser

import fake_pictures
import fake_study
import pytest

from ssl_jax import report
from ssl_jax.report import page, read, sections
from ssl_jax.report.content import Content
from ssl_jax.report.sections import maps

VOID = {'meta', 'img', 'source', 'br', 'hr', 'link'}


class Page(parser.HTMLParser):
  """Collects images, text and addresses; fails if tags do not nest."""

  def __init__(self, text: str):
    super().__init__()
    self.open, self.images, self.addresses, self.words = [], [], [], []
    self.links, self.focusable, self.ids = [], set(), set()
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.addresses += [attrs[a] for a in ('src', 'srcset') if a in attrs]
    self.ids.add(attrs.get('id'))
    if tag == 'a':
      self.links.append(attrs['href'])
    if attrs.get('tabindex') == '0':
      assert attrs['role'] == 'region' and attrs['aria-label']
      self.focusable.add((tag, attrs.get('class', '')))
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
  """Writes a study and its report once, because figures take seconds."""
  folder = fake_study.write(tmp_path_factory.mktemp('study'))
  assert report.write(folder) == folder / 'report' / 'index.html'
  return folder / 'report'


def read_page(path) -> Page:
  return Page(path.read_text(encoding='utf-8'))


def without_figures(study) -> Content:
  return dataclasses.replace(sections.content(study), figures=())


def test_page_is_well_formed_self_contained_and_has_alt_texts(folder):
  shown = read_page(folder / 'index.html')
  assert len(shown.images) == 5
  assert all(len(image['alt']) > 20 for image in shown.images)
  assert shown.addresses and all(a.startswith('data:') for a in shown.addresses)


def test_page_has_the_facts_and_the_numbers(folder):
  shown = read_page(folder / 'index.html')
  for text in ('A fake study', 'Numbers by hand.', 'three shapes', '1 CPU', 'abc1234',
               '2 January 2026, 03:04', 'python -m ssl_jax.study', '92.00 ± 2.65 (3)',
               '93.00 (1)', '54.16',
               'SimCLR is 21.0 points above random', 'Incomplete: 13 of 18',
               'supervised, seed 0 (kNN)', '<i>'):
    assert text in shown.text, text
  assert 'Rehearsal' not in shown.text


def test_markdown_has_the_same_numbers_and_its_figures_exist(folder):
  text = (folder / 'report.md').read_text(encoding='utf-8')
  assert '| SimCLR | 92.00 ± 2.65 (3) | 54.16 | 87.00 ± 1.00 (3) |' in text
  assert 'SimCLR is 21.0 points above random' in text
  links = re.findall(r'\]\((figures/[^)]+)\)', text)
  assert len(links) == 5
  for link in links:
    assert (folder / link).stat().st_size > 1000
    assert (folder / link).with_suffix('.svg').is_file()


def test_links_are_relative_and_lead_to_files(folder):
  shown = read_page(folder / 'index.html')
  links = [link for link in shown.links if not link.startswith('#')]
  assert {link[1:] for link in set(shown.links) - set(links)} == {
      'results', 'loss', 'pretext', 'online', 'per_class', 'confusion', 'time',
      'details'} <= shown.ids
  assert {'results.csv', '../study.json', '../simclr/seed0/',
          '../simclr/seed0/pretrain/config.json'} <= set(links)
  for link in links:
    assert (folder / link).exists(), link
  text = (folder / 'report.md').read_text(encoding='utf-8')
  assert '[config.json](../simclr/seed0/pretrain/config.json)' in text


def test_regions_that_scroll_can_be_focused(folder):
  assert read_page(folder / 'index.html').focusable == {
      ('div', 'wide data'), ('pre', '')}


def test_a_flag_of_the_command_is_not_broken(tmp_path):
  command = "python -m ssl_jax.study --config=configs/a.py:x --name='a  b' --on c-d"
  study = read.study(fake_study.write(tmp_path, {}, command=command))
  text = page.html(study, Content())
  for flag in ('--config=', '--name=', '--on'):
    assert f'<span class="flag">{flag}</span>' in text
  assert command in ''.join(Page(text).words)


@pytest.mark.parametrize('written, shown', [
    ('2026-01-02T03:04:05+00:00', '2 January 2026, 03:04 UTC'),
    ('2026-11-12T13:14:15', '12 November 2026, 13:14'), ('yesterday', 'yesterday')])
def test_started_is_a_readable_date(tmp_path, written, shown):
  study = read.study(fake_study.write(tmp_path, {}, started=written))
  assert page.facts(study)['Started'] == shown


def test_a_rehearsal_is_announced_once_at_the_top(tmp_path):
  sentence = 'Rehearsal at scale 0.05: epochs x 0.05.'
  study = read.study(fake_study.write(tmp_path, rehearsal=sentence))
  content = sections.content(study)
  content = dataclasses.replace(content, figures=content.figures[:1])
  text = page.html(study, content)
  shown = Page(text).text
  assert shown.count('Rehearsal') == 2  # the tab's title and the banner
  assert shown.index(sentence) < shown.index('Numbers by hand.')
  for image in Page(text).images:
    svg = base64.b64decode(image['src'].partition('base64,')[2])
    assert b'ehearsal' not in svg
  assert page.markdown(study, content).startswith(f'> **{sentence}**')
  assert page.terminal(study, content).startswith(sentence)


def test_a_study_with_label_subsets_has_both_tables_and_the_sentences(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  content = without_figures(study)
  html, text = Page(page.html(study, content)).text, page.markdown(study, content)
  for shown in (html, text, page.terminal(study, content)):
    assert '82.00 ± 1.41 (2)' in shown and '89.00 ± 1.41 (2)' in shown
  assert '| SimCLR, Linear | 81.00 ± 1.41 (2) | – |  |  |' in text
  for shown in (html, text):
    assert 'SimCLR, Fine-tuning minus the published figures' in shown


def test_the_table_of_a_heat_map_is_below_it(tmp_path):
  study = read.study(fake_study.heatmap(tmp_path))
  content = Content(figures=sections.heatmap.figures(study))
  for shown in (Page(page.html(study, content)).text, page.markdown(study, content)):
    assert shown.index('diagonal has one alone.') < shown.index('62.0 ± 2.8 (2)')
  assert '62.0 ± 2.8 (2)' in page.terminal(study, content)


def test_a_warning_names_only_some_of_many_missing_runs(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {f'm{i}': {} for i in range(9)}, published=[], seeds=[0]))
  (warning,) = page.warnings(study)
  assert warning.startswith('Incomplete: 0 of 18 ')
  assert warning.endswith('m5, seed 0 (Linear probe, kNN); and 3 more runs.')


def test_titles_and_labels_cannot_inject_markup(tmp_path):
  study = read.study(fake_study.write(tmp_path, title='<script>x</script>',
                                      labels={'simclr': '<script>'}))
  assert '<script' not in page.html(study, without_figures(study))


def test_a_study_that_has_just_begun(tmp_path):
  study = read.study(fake_study.write(tmp_path, {'simclr': {}}, published=[]))
  content = sections.content(study)
  shown = Page(page.html(study, content))
  assert 'Incomplete: 0 of 6' in shown.text and not shown.images
  assert '–' in page.terminal(study, content)


def test_hover_images_and_the_script_are_inside_the_page(tmp_path):
  fake_study.write(tmp_path)
  fake_pictures.write(tmp_path, simclr=fake_pictures.pictures_of(),
                      random=fake_pictures.pictures_of(seed=1))
  study = read.study(tmp_path)
  text = page.html(study, Content(figures=maps.content(study).figures))
  shown = Page(text)
  data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text,
                              re.DOTALL)[1])
  assert data['sprite'].startswith('data:image/webp;base64,')
  assert len(data['points']) == len(data['texts']) == len(data['panels'][1]) == 2
  assert data['texts'][0][5] == '<i>, kNN: cat' and len(data['points'][0]) == 24
  assert '#maps' in shown.links and 'figures/maps.svg' in shown.links
  assert "querySelectorAll('figure[data-hover]')" in text
  assert 'data-hover' not in page.html(study, Content())
