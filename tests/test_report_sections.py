"""Tests that every section works for every kind of study."""

import shutil

import fake_pictures
import fake_study
import pytest

from ssl_jax.report import page, read, sections, theme
from ssl_jax.report.content import Content

KINDS = {
    'finished': fake_study.write, 'label subsets': fake_study.by_labels,
    'data sets': fake_study.by_data_set, 'heat map': fake_study.heatmap,
    'compressed': fake_study.compressed,
    'pictures': lambda folder: fake_pictures.write(
        fake_study.write(folder), simclr=fake_pictures.pictures_of(),
        random=fake_pictures.rotated()),
    'rehearsal': lambda folder: fake_study.write(folder, rehearsal='Made small.')}


def half_done(folder):
  """Removes the results of seed 0 and the log of seed 1 of every method."""
  for method in folder.iterdir():
    for result in method.glob('seed0/*/result.json'):
      result.unlink()
    shutil.rmtree(method / 'seed1' / 'pretrain', ignore_errors=True)
  return folder


@pytest.mark.parametrize('cut', [False, True], ids=['whole', 'half done'])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('section', sections.SECTIONS, ids=lambda s: s.__name__)
def test_every_section_works(tmp_path, kind, cut, section):
  folder = KINDS[kind](tmp_path)
  content = section.content(read.study(half_done(folder) if cut else folder))
  assert isinstance(content, Content)
  for figure in content.figures:
    assert figure.draw(theme.DARK).axes and figure.alt and figure.caption


def test_a_study_that_has_just_begun_has_no_figures_and_no_sentences(tmp_path):
  study = read.study(fake_study.write(tmp_path, {'simclr': {}}, published=[]))
  content = sections.content(study)
  assert not content.figures and not content.findings and not content.details


def test_a_new_section_is_one_module_and_one_line(tmp_path, monkeypatch):
  class NewSection:
    @staticmethod
    def content(study):
      return Content(findings={'New heading': [f'{study.name} has a new section.']})

  monkeypatch.setattr(sections, 'SECTIONS', (*sections.SECTIONS, NewSection))
  study = read.study(fake_study.write(tmp_path, {'simclr': {}}, published=[]))
  content = sections.content(study)
  for text in (page.html(study, content), page.markdown(study, content)):
    assert 'New heading' in text and 'fake has a new section.' in text


def test_figures_have_names_of_their_own(tmp_path):
  names = [f.name for f in sections.content(
      read.study(fake_study.by_labels(tmp_path))).figures]
  assert names == ['by_labels', 'loss', 'pretext', 'online', 'per_class', 'confusion']
