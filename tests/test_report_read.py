"""A study's folder is read as it is; what is unusable is left out and named."""

import json

import fake_study
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.report import read


def test_a_whole_study(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  np.testing.assert_array_equal(study.accuracy('simclr', 'linear'), [0.90, 0.91, 0.95])
  np.testing.assert_array_equal(study.per_class('random', 'linear')[0], [1, 1, 0.1])
  assert study.label('simclr') == 'SimCLR'
  assert study.label('knn') == 'kNN'
  assert study.label('linear_1_percent') == 'linear 1 percent'
  assert study.label('100pct') == '100 %'
  assert study.class_names(3) == fake_study.CLASSES
  assert study.class_names(4) == ('0', '1', '2', '3')
  assert study.images_per_second('simclr').tolist() == [1500.0] * 3


def test_what_is_missing_is_named(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  assert study.missing() == {'supervised, seed 0': ['kNN'],
                             'supervised, seed 1': ['Linear probe', 'kNN'],
                             'supervised, seed 2': ['Linear probe', 'kNN']}
  assert study.accuracy('supervised', 'knn').shape == (0,)


def test_what_is_not_wanted_is_neither_missing_nor_read(tmp_path):
  fake_study.by_labels(tmp_path)
  fake_study.put(tmp_path / 'simclr/seed0/rotation/result.json',
                 fake_study.evaluation_result(0.25))
  study = read.study(tmp_path)
  assert study.missing() == {
      'RotNet, seed 0': ['Fine-tuning on 100 %'],
      'RotNet, seed 1': ['Linear probe', 'Fine-tuning on 100 %']}
  assert study.wants('rotnet', 'rotation') and not study.wants('simclr', 'rotation')
  assert not study.wants('rotnet', 'absent')
  assert study.accuracy('simclr', 'rotation').shape == (0,)


def test_a_published_figure_for_what_is_not_wanted_is_named(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, published=[fake_study.published('simclr', 'rotation', 80)]))
  assert ['80.00' in note and 'does not run' in note for note in study.notes] == [True]


@pytest.mark.parametrize('written, sentence', [
    (False, ''), (None, ''), ('', ''), ('At 0.05.', 'At 0.05.'),
    (True, read.REHEARSAL)])
def test_rehearsals_of_before_there_was_a_sentence(tmp_path, written, sentence):
  fake_study.write(tmp_path, rehearsal=written)
  assert read.study(tmp_path).rehearsal == sentence


def test_a_method_is_not_labelled_as_an_evaluation_of_its_name(tmp_path):
  study = read.study(fake_study.write(tmp_path, {'nearest': {}}, published=[]))
  assert study.label('nearest') == 'nearest' and study.label('knn') == 'kNN'


def test_cells_of_the_heat_map_are_not_listed(tmp_path):
  study = read.study(fake_study.grid(tmp_path))
  assert study.listed_methods == ('batch_8',)
  assert study.heatmap.cells['turn_crop'] == (2, 0)


def test_curve_skips_a_truncated_line_and_prefers_the_last_of_a_step(tmp_path):
  fake_study.write(tmp_path)
  log = tmp_path / 'simclr/seed0/pretrain/metrics.jsonl'
  with log.open('a') as f:
    f.write('{"step": 4, "epoch": 2.0, "train/lo\n')  # killed here, then resumed
    f.write('{"step": 3, "epoch": 1.5, "train/loss": 0.25}\n')
    f.write('{"step": 4, "epoch": 2.0, "train/loss": NaN}\n')
    f.write('{"step": 5, "epoch": 2.5, "train/loss": 0.125}\n')
    f.write('{"step": 6, "epoch"')
  curve = read.study(tmp_path).of('simclr')[0].curve('train/loss')
  np.testing.assert_array_equal(
      curve, [[0, 4], [0.5, 3], [1, 2], [1.5, 0.25], [2.5, 0.125]])


def test_throughput_falls_back_to_the_log(tmp_path):
  fake_study.write(tmp_path)
  place = tmp_path / 'simclr/seed0/pretrain'
  fake_study.put(place / 'result.json', {'config': {}, 'result': {'steps': 4}})
  lines = [{'step': i, 'images_per_second': v} for i, v in enumerate((10, 900, 1000))]
  (place / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  assert read.study(tmp_path).images_per_second('simclr').tolist() == [900, 1500, 1500]


@pytest.mark.parametrize('text', [
    '{"result"', '[]', '{"result": {"test": null}}', '{"result": {"test": {}}}',
    '{"result": {"test": {"top1": NaN}}}', '{"result": {"test": {"top1": 91.2}}}'])
def test_an_unusable_result_is_left_out_and_named(tmp_path, text):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed1/linear/result.json').write_text(text)
  study = read.study(tmp_path)
  np.testing.assert_array_equal(study.accuracy('simclr', 'linear'), [0.90, 0.95])
  assert any('simclr/seed1/linear/result.json' in note for note in study.notes)


def test_a_published_figure_without_a_place_is_named(tmp_path):
  fake_study.write(tmp_path, published=[
      {'method': 'byol', 'evaluation': 'linear', 'value': 91.3, 'source': 'a paper'}])
  assert any('91.30' in note and 'byol' in note for note in read.study(tmp_path).notes)


@pytest.mark.parametrize('spoil, says', [
    (lambda folder: folder / 'absent', 'not a folder'),
    (lambda folder: (folder / 'study.json').unlink() or folder, 'no study.json'),
    (lambda folder: (folder / 'study.json').write_text('{') and folder,
     'not valid JSON'),
    (lambda folder: (folder / 'study.json').write_text('{"name": "x"}') and folder,
     "lacks the field 'methods'"),
    (lambda folder: (folder / 'study.json').write_text('[]') and folder,
     "lacks the field 'name'")])
def test_what_is_no_study_is_one_sentence(tmp_path, spoil, says):
  folder = spoil(fake_study.write(tmp_path))
  with pytest.raises(errors.UserError, match=says) as caught:
    read.study(folder)
  assert '\n' not in str(caught.value)
