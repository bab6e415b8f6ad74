"""Tests the report's folder, and that writing it needs no JAX."""

import subprocess
import sys

import fake_pictures
import fake_study
import pytest

from ssl_jax import errors, report
from ssl_jax.report import theme


@pytest.fixture
def footers(monkeypatch):
  """Replaces drawing, which takes seconds; returns the names and footers drawn."""
  drawn = []

  def render(figure, palette, suffix, footer=''):
    drawn.append((figure.name, suffix, footer))
    return f'{figure.name} {palette.text} {suffix}'.encode()

  monkeypatch.setattr(theme, 'render', render)
  return drawn


@pytest.mark.parametrize('sentence, footer', [
    ('', ''), ('Made small.', 'From a rehearsal: these numbers are not results.')])
def test_a_rehearsal_is_marked_in_image_files_only(tmp_path, footers, sentence, footer):
  figures = report.write(
      fake_study.write(tmp_path, rehearsal=sentence)).parent / 'figures'
  names = 'confusion', 'loss', 'online', 'per_class', 'pretext'
  files = [f'{name}.{suffix}' for name in names for suffix in ('png', 'svg')]
  assert sorted(path.name for path in figures.iterdir()) == files
  # The last twenty are the page's, five figures in two palettes and two widths.
  assert [text for _, _, text in footers] == [footer] * 10 + [''] * 20


def test_writing_again_gives_the_same_bytes(tmp_path, footers):
  folder = fake_study.write(tmp_path)

  def contents():
    report.write(folder)
    return {path: path.read_bytes() for path in (folder / 'report').rglob('*.*')}

  assert contents() == contents()


def test_the_summary_has_the_tables_and_the_warnings(tmp_path):
  text = report.summary(fake_study.write(tmp_path))
  assert text.startswith('Incomplete: 13 of 18') and '92.00 ± 2.65 (3)' in text


def test_a_folder_that_is_no_study_is_named(tmp_path):
  for function in (report.write, report.summary):
    with pytest.raises(errors.UserError, match='has neither study.json nor'):
      function(tmp_path)


@pytest.mark.parametrize('module', ['ssl_jax.report', 'ssl_jax.make_report'])
def test_reports_need_no_jax(module):
  code = (f'import sys, {module}; '
          'sys.exit(str({"jax", "flax", "optax"} & set(sys.modules) or ""))')
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert done.stderr.strip() == ''


def test_watching_writes_when_there_is_something_new_until_all_is_there(
    tmp_path, footers):
  fake_study.write(tmp_path, config={'pictures': {'methods': ['simclr']}},
                   seeds=[0], evaluations=['linear'])
  result = tmp_path / 'random/seed0/linear/result.json'
  text = result.read_text()
  result.unlink()
  pages = []

  def pause(seconds):
    pages.append((tmp_path / 'report/index.html').read_text())
    assert seconds == 7
    if len(pages) == 2:
      result.write_text(text)
    if len(pages) == 3:
      fake_pictures.write(tmp_path, simclr=fake_pictures.pictures_of())

  page = report.watch(tmp_path, 7, pause)
  assert len(pages) == 3 and pages[0] == pages[1]
  assert 'Incomplete' in pages[0] and 'Incomplete' not in pages[2]
  assert '<meta http-equiv="refresh" content="7">' in pages[2]
  assert 'http-equiv="refresh"' not in page.read_text()
