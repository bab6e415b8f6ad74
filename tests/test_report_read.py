"""Tests that a study's folder is read, and that unusable files are named."""

import json

import fake_study
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.report import read
from ssl_jax.report.study import CONFIG, METRICS


def test_a_whole_study(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  np.testing.assert_array_equal(study.accuracy('simclr', 'linear'), [0.90, 0.91, 0.95])
  np.testing.assert_array_equal(study.per_class('random', 'linear')[0], [1, 1, 0.1])
  assert study.display_name('simclr') == 'SimCLR'
  assert study.display_name('knn') == 'kNN'
  assert study.display_name('linear_1_percent') == 'linear 1 percent'
  assert study.display_name('100pct') == '100 %'
  assert study.class_names(3) == fake_study.CLASSES
  assert study.class_names(4) == ('0', '1', '2', '3')


def test_an_evaluation_that_is_not_requested_is_neither_missing_nor_read(tmp_path):
  fake_study.by_labels(tmp_path)
  fake_study.write_json(tmp_path / 'simclr/seed0/rotation/result.json',
                 fake_study.evaluation_result(0.25))
  study = read.study(tmp_path)
  assert study.missing() == {
      'RotNet, seed 0': ['Fine-tuning on 100 %'],
      'RotNet, seed 1': ['Linear probe', 'Fine-tuning on 100 %']}
  assert study.requests('rotnet', 'rotation')
  assert not study.requests('simclr', 'rotation')
  assert not study.requests('rotnet', 'absent')
  assert study.accuracy('simclr', 'rotation').shape == (0,)


def test_a_published_figure_that_is_not_requested_is_named(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, published=[fake_study.published('simclr', 'rotation', 80)]))
  assert ['80.00' in note and 'does not run' in note for note in study.notes] == [True]


@pytest.mark.parametrize('written, sentence', [
    (False, ''), (None, ''), ('', ''), ('At 0.05.', 'At 0.05.'),
    (True, read.REHEARSAL)])
def test_rehearsals_of_earlier_versions(tmp_path, written, sentence):
  fake_study.write(tmp_path, rehearsal=written)
  assert read.study(tmp_path).rehearsal == sentence


@pytest.mark.parametrize('text', [
    '{"result"', '[]', '{"result": {"test": null}}', '{"result": {"test": {}}}',
    '{"result": {"test": {"top1": NaN}}}', '{"result": {"test": {"top1": 91.2}}}'])
def test_an_unusable_result_is_left_out_and_named(tmp_path, text):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed1/linear/result.json').write_text(text)
  study = read.study(tmp_path)
  np.testing.assert_array_equal(study.accuracy('simclr', 'linear'), [0.90, 0.95])
  assert any('simclr/seed1/linear/result.json' in note for note in study.notes)


def test_a_published_figure_of_an_unknown_method_is_named(tmp_path):
  fake_study.write(tmp_path, published=[
      {'method': 'byol', 'evaluation': 'linear', 'value': 91.3, 'source': 'a paper'}])
  assert any('91.30' in note and 'byol' in note for note in read.study(tmp_path).notes)


@pytest.mark.parametrize('spoil, says', [
    (lambda folder: folder / 'absent', 'not a folder'),
    (lambda folder: (folder / 'study.json').unlink() or folder,
     'neither study.json nor config.json'),
    (lambda folder: (folder / 'study.json').write_text('{') and folder,
     'not valid JSON'),
    (lambda folder: (folder / 'study.json').write_text('{"name": "x"}') and folder,
     "lacks the field 'methods'"),
    (lambda folder: (folder / 'study.json').write_text('[]') and folder,
     "lacks the field 'name'")])
def test_a_folder_that_is_no_study_is_one_sentence(tmp_path, spoil, says):
  folder = spoil(fake_study.write(tmp_path))
  with pytest.raises(errors.UserError, match=says) as caught:
    read.study(folder)
  assert '\n' not in str(caught.value)


def test_settings_are_searched_if_several_were_tried(tmp_path):
  folder = fake_study.write(tmp_path)
  run = read.study(folder).runs_of('simclr')[0]
  assert run.results['linear'].searched and not run.results['knn'].searched
  path = folder / 'simclr/seed0/linear/result.json'
  record = json.loads(path.read_text())
  record['result']['grid'] = record['result']['grid'][:1]
  fake_study.write_json(path, record)
  assert not read.study(folder).runs_of('simclr')[0].results['linear'].searched


def test_files_are_those_that_exist(tmp_path):
  folder = fake_study.write(tmp_path)
  (folder / 'simclr/seed0/pretrain/config.json').unlink()
  first, second, _ = read.study(folder).runs_of('simclr')
  assert first.files == (METRICS,)
  assert second.files == (CONFIG, METRICS)
  assert second.folder == 'simclr/seed1'
