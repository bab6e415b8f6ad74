"""Tests which fields a rehearsal scales, by how much, and which it keeps."""

import copy

import numpy as np
import pytest

from ssl_jax import errors, models
from ssl_jax.data import datasets, subsets
from ssl_jax.studies import rehearsal

DATA = {'name': 'synthetic', 'image_size': 8, 'num_examples': 4000, 'num_classes': 4}


def study(epochs=100., width=1, name='resnet18', batch_size=512):
  """Returns a study of one method and one probe of it, on 4,000 images."""
  return {
      'name': 'a', 'seeds': [0, 1],
      'methods': {'m': {
          'data': dict(DATA), 'feed': {'batch_size': batch_size},
          'model': {'name': name, 'width': width},
          'optim': {'learning_rate': 0.3, 'warmup_epochs': 20.,
                    'boundaries_epochs': [30., 60., 80.]},
          'train': {'epochs': epochs, 'knn_every_epochs': 20.},
          'log': {'every_steps': 50, 'checkpoint_every_epochs': 10.}}},
      'evaluations': {'probe': {
          'data': {'name': None, 'validation_fraction': 0},
          'feed': {'batch_size': 512}, 'features': {'batch_size': 512},
          'optim': {'warmup_epochs': 0.}, 'train': {'epochs': 90.}}}}


def method(scale, **kwargs):
  return rehearsal.shrink(study(**kwargs), scale)['methods']['m']


def probe(scale, **fields):
  config = study()
  config['evaluations']['probe'] |= fields
  return rehearsal.shrink(config, scale)['evaluations']['probe']


def test_schedules_keep_their_shape():
  fields = method(0.05)
  assert fields['train']['epochs'] == pytest.approx(5)
  assert fields['optim']['warmup_epochs'] == pytest.approx(1)
  np.testing.assert_allclose(fields['optim']['boundaries_epochs'], [1.5, 3, 4])
  assert fields['train']['knn_every_epochs'] == pytest.approx(1)
  assert fields['optim']['learning_rate'] == 0.3
  assert fields['log'] == {'every_steps': 2, 'checkpoint_every_epochs': 10}
  assert method(0.001)['log']['every_steps'] == 1


def test_what_trains_at_all_trains_for_an_epoch():
  fields = method(0.001)
  assert fields['train']['epochs'] == pytest.approx(1)
  assert fields['optim']['warmup_epochs'] == pytest.approx(0.2)
  assert method(0.001, epochs=0.5)['train']['epochs'] == 0.5
  assert method(0.001, epochs=0)['train']['epochs'] == 0
  assert probe(0.001)['train']['epochs'] == pytest.approx(1)


def test_images_of_every_class_of_every_split():
  load = lambda split, fraction: np.bincount(datasets.load(
      **DATA, split=split, validation_fraction=0, subsample=fraction).labels)
  np.testing.assert_array_equal(load('train', 0.1), [100] * 4)
  np.testing.assert_array_equal(load('test', 0.1), [25] * 4)
  np.testing.assert_array_equal(load('train', 0.001), [20] * 4)  # and not 1
  assert method(0.1)['data'] == {**DATA, 'subsample': 0.1}


def test_thinning_keeps_proportions_and_small_classes():
  labels = np.repeat([0, 1, 2], [1000, 100, 7])
  kept = subsets.subsample(labels, 0.3)
  np.testing.assert_array_equal(np.bincount(labels[kept]), [300, 30, 7])
  np.testing.assert_array_equal(kept, np.unique(kept))
  unlabelled = subsets.subsample(np.full(1000, -1), 0.1)
  assert len(unlabelled) == 100 and np.ptp(unlabelled) > 500
  with pytest.raises(errors.UserError, match='subsample is 1.5'):
    subsets.subsample(labels, 1.5)


@pytest.mark.parametrize('scale, name, width, narrow', [
    (0.01, 'resnet50', 1, 0.25),      # the least
    (0.25, 'resnet50', 2, 1),         # half
    (0.1, 'nin', 1, 0.375),           # 0.316, in eighths
    (0.01, 'resnet20', 1, 1), (0.01, 'resnet8', 0.25, 0.25)])
def test_only_wide_networks_get_narrower(scale, name, width, narrow):
  fields = method(scale, name=name, width=width)['model']
  assert fields['width'] == narrow
  models.build(**fields)


def test_every_width_is_legal_and_a_width_that_is_not_given_is_one():
  config = study()
  del config['methods']['m']['model']['width']
  for scale in np.linspace(0.01, 0.99, 30):
    for name in rehearsal.WIDE:
      config['methods']['m']['model']['name'] = name
      models.build(**rehearsal.shrink(config, scale)['methods']['m']['model'])


def test_batches_are_a_tenth_of_the_images_in_eights():
  assert method(0.1)['feed']['batch_size'] == 40     # of 400
  assert method(0.13)['feed']['batch_size'] == 48    # of 520
  assert method(0.1, batch_size=20)['feed']['batch_size'] == 20
  assert method(0.001)['feed']['batch_size'] == 8    # of 80
  assert probe(0.1)['feed']['batch_size'] == probe(0.1)['features']['batch_size'] == 40


def test_labels_shrink_with_the_images():
  kept = probe(0.1, subsets={'few': {'per_class': 5, 'repeat': True},
                             'more': {'first_k': 500}, 'part': {'fraction': 0.5},
                             'one': {'per_class': 1}, 'all': None})['subsets']
  assert kept == {'few': {'per_class': 2, 'repeat': True}, 'more': {'first_k': 50},
                  'part': {'fraction': 0.5}, 'one': {'per_class': 1}, 'all': None}
  assert list(kept) == ['few', 'more', 'part', 'one', 'all']


def test_a_batch_fits_the_smallest_subset():
  few = {'few': {'per_class': 20}, 'all': None}
  fields = probe(0.1, subsets=few)
  assert fields['feed']['batch_size'] == 8           # of 4 classes x 2
  assert fields['features']['batch_size'] == 40
  few['few']['repeat'] = True
  assert probe(0.1, subsets=few)['feed']['batch_size'] == 40


def test_as_many_neighbours_as_there_are():
  config = study()
  config['evaluations'] = {'knn': {'protocol': {'name': 'knn', 'k': 200}}}
  shrunk = lambda scale: rehearsal.shrink(config, scale)['evaluations']['knn']
  assert shrunk(0.1)['protocol']['k'] == 200
  assert shrunk(0.001)['protocol']['k'] == 72        # 80 less a tenth for validation


def on_data_sets(scale, **fields):
  config = study()
  config['evaluations'] = {'tune': {
      'feed': {'batch_size': 256}, 'features': {'batch_size': 512},
      'train': {'steps': 20000},
      'grid': {'learning_rates': [1, 2, 3, 4, 5, 6, 7], 'weight_decays': [0]},
      'data_sets': {'small': {'data': {'num_examples': 1000}, 'score': 'top1'},
                    'absent': {'data': {'name': 'none'}}}, **fields}}
  return rehearsal.shrink(config, scale)


def test_steps_are_those_of_fewer_epochs_of_fewer_images():
  tune = on_data_sets(0.5)['evaluations']['tune']['data_sets']['small']
  # 500 of 1,000 images remain, 450 of them for training.
  assert tune['feed']['batch_size'] == tune['features']['batch_size'] == 40
  assert tune['train']['steps'] == 20000 * 256 // 40 // 4
  assert tune['score'] == 'top1'
  short = on_data_sets(0.1, train={'steps': 5})['evaluations']['tune']['data_sets']
  assert short['small']['train']['steps'] == 90 // 8  # one epoch


def test_grids_keep_two_values_from_their_middle():
  shrunk = on_data_sets(0.5)
  assert shrunk['evaluations']['tune']['data_sets']['small']['grid'] == {
      'learning_rates': [2, 5], 'weight_decays': [0]}
  assert 'two values of each setting of a grid' in shrunk['rehearsal']


def test_a_data_set_that_is_not_there_is_left_to_its_stage():
  shrunk = on_data_sets(0.5)['evaluations']['tune']['data_sets']
  assert shrunk['absent'] == {'data': {'name': 'none'}}


def test_a_given_encoder_stays_as_it_is(tmp_path, monkeypatch):
  (tmp_path / 'run3' / '5').mkdir(parents=True)
  monkeypatch.setattr(rehearsal.checkpoint, 'read_config',
                      lambda folder: (5, {'data': DATA}))
  config = study()
  config['seeds'] = [3]
  config['methods'] = {'m': {'checkpoint': str(tmp_path / 'run{seed}')}}
  shrunk = rehearsal.shrink(config, 0.1)
  assert shrunk['methods'] == config['methods']
  assert shrunk['evaluations']['probe']['data']['subsample'] == 0.1
  assert shrunk['evaluations']['probe']['feed']['batch_size'] == 40


def test_a_compression_has_the_images_of_its_source():
  config = study()
  config['methods']['small'] = {
      'compressed_from': 'm', 'compression': {'sparsity': 0.9, 'end': 0.6},
      'feed': {'batch_size': 512}, 'optim': {}, 'train': {'epochs': 50.},
      'log': {'every_steps': 50}}
  fields = rehearsal.shrink(config, 0.1)['methods']['small']
  assert fields == {
      'compressed_from': 'm', 'compression': {'sparsity': 0.9, 'end': 0.6},
      'feed': {'batch_size': 40}, 'optim': {}, 'train': {'epochs': pytest.approx(5)},
      'log': {'every_steps': 5}}


def test_the_rest_stays_and_a_sentence_says_so():
  config = study()
  before = copy.deepcopy(config)
  shrunk = rehearsal.shrink(config, 0.04)
  assert config == before
  assert shrunk['seeds'] == [0, 1] and list(shrunk['methods']) == ['m']
  for factor in ('--scale=0.04', '0.04 of the epochs', '0.25 of the width'):
    assert factor in shrunk['rehearsal']
  config['methods']['m']['model']['name'] = 'resnet20'
  assert 'width' not in rehearsal.shrink(config, 0.04)['rehearsal']


@pytest.mark.parametrize('scale', [0, 1, -0.1, 5, float('nan')])
def test_a_scale_that_is_none(scale):
  with pytest.raises(errors.UserError, match='^--scale is .*above 0 and below 1'):
    rehearsal.shrink(study(), scale)


def test_pictures_keep_a_hundred_images():
  fields = {'pictures': {'images': 2000, 'bank': 50, 'seed': 0}}
  small = lambda scale: rehearsal.shrink({**study(), **fields}, scale)['pictures']
  assert small(0.2) == {'images': 400, 'bank': 50, 'seed': 0}
  assert small(0.001) == {'images': 100, 'bank': 50, 'seed': 0}
