"""Tests rotation accuracy: its batches, and an evaluation of a checkpoint."""

import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors
from ssl_jax.evaluators import features, rotation
from ssl_jax.jobs import downstream, evaluate


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def test_batches_are_expanded_by_every_turn():
  images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
  batch = {'image': images, 'label': np.array([7, -1, 8], np.int32),
           'mask': np.array([True, True, False])}
  for turns in ((0, 1, 2, 3), (1, 3)):
    out, = rotation.expand([batch], turns)
    count = len(turns)
    for i in range(3):
      for v, turn in enumerate(turns):
        np.testing.assert_array_equal(out['image'][i * count + v],
                                      np.rot90(images[i], turn))
    np.testing.assert_array_equal(out['label'], list(range(count)) * 3)
    np.testing.assert_array_equal(out['mask'], [True] * 2 * count + [False] * count)
    assert out['image'].dtype == np.uint8


def test_an_image_on_a_canvas_is_turned_and_stays_in_the_top_left():
  random = np.random.default_rng(0)
  valid_sizes = np.array([[2, 5], [6, 6], [4, 1]], np.int32)
  images = [random.integers(0, 256, (*e, 3)).astype(np.uint8) for e in valid_sizes]
  canvas = np.zeros((3, 6, 6, 3), np.uint8)
  for i, (height, width) in enumerate(valid_sizes):
    canvas[i, :height, :width] = images[i]
  batch = {'image': canvas, 'valid_size': valid_sizes, 'label': np.zeros(3, np.int32),
           'mask': np.ones(3, bool)}
  for turns in ((0, 1, 2, 3), (1, 3)):
    out, = rotation.expand([batch], turns)
    for i, image in enumerate(images):
      for v, turn in enumerate(turns):
        row, turned = i * len(turns) + v, np.rot90(image, turn)
        height, width = out['valid_size'][row]
        assert (height, width) == turned.shape[:2]
        np.testing.assert_array_equal(out['image'][row][:height, :width], turned)


def test_scores_logits_as_they_are():
  labels = np.tile(np.arange(4, dtype=np.int32), 5)
  right = features.Features(np.eye(4, dtype=np.float32)[labels], labels)
  never_turned = features.Features(np.eye(4, dtype=np.float32)[0 * labels], labels)
  result = rotation.Rotation()(right, None, never_turned, 4)
  assert result['train']['top1'] == 1 and result['test']['top1'] == 0.25
  assert result['test']['per_class'] == [1, 0, 0, 0]
  assert 'rotations' in result['protocol']


def evaluation():
  return {'protocol': {'name': 'rotation'},
          'features': {'endpoint': 'logits', 'batch_size': 16},
          'data': {'validation_fraction': 0.1}}


@pytest.mark.parametrize('rotations, count', [('all', 4), ('90_270', 2)])
def test_from_a_checkpoint(rotations, count, tmp_path):
  run = tiny.pretrained(
      tmp_path / 'run', method={'name': 'rotnet', 'rotations': rotations},
      model={'name': 'stub'}, train={'epochs': 0})
  result = evaluate.run(evaluation(), run, tmp_path / 'result')
  plain = evaluate.run({**evaluation(), 'protocol': {'name': 'nn1'}}, run,
                       tmp_path / 'plain')
  for split in downstream.SPLITS:
    assert result[split]['n'] == count * plain[split]['n']
    # Every image has every rotation once.
    assert np.ptp(np.sum(result[split]['confusion'], 1)) == 0
  assert result['class_names'] == {
      4: ['0 degrees', '90 degrees', '180 degrees', '270 degrees'],
      2: ['90 degrees', '270 degrees']}[count]


def test_other_methods_know_no_rotations(tmp_path):
  run = tiny.pretrained(tmp_path / 'run', model={'name': 'stub'}, train={'epochs': 0})
  with pytest.raises(errors.UserError, match="trained with 'simclr'.*'rotnet'"):
    evaluate.run(evaluation(), run, tmp_path / 'result')
