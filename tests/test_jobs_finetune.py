"""Tests fine-tuning from a checkpoint to a result, and from that result again."""

import json
import re

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.augment import policies
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import sources as data_lib
from ssl_jax.jobs import downstream, evaluate, finetune, linear_probe
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib

# The encoder was trained on 4 classes; 65 of these 80 images are for training.
DATA = {'num_classes': 3, 'validation_fraction': 0.2}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.fixture(scope='module')
def pretrained(stub, tmp_path_factory):
  return tiny.pretrained(tmp_path_factory.mktemp('runs') / 'run',
                         model={'name': 'staged'}, train={'epochs': 0})


@pytest.fixture(scope='module')
def tuned(pretrained, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'tuned'
  labels = {'per_class': 3, 'repeat': True}
  return workdir, finetune.run(
      config(freeze_until='far', layer_decay=0.5, data={**DATA, 'label_subset': labels},
             train={'epochs': 2}), pretrained, workdir)


def config(**fields):
  small = tiny.config()
  return {'seed': 0, 'features': {'batch_size': 16}, 'augment': {'recipe': 'none'},
          'data': DATA, **{k: small[k] for k in ('feed', 'optim', 'log')},
          'train': {'epochs': 0.3}, **fields}


@pytest.mark.parametrize('grid', [None, {'learning_rates': (0.1,)}])
def test_data_that_changed_end_a_resume(pretrained, tmp_path, monkeypatch, grid):
  """The folder does not belong to a run before its first step either."""
  fields = config(train={'epochs': 1}, **({'grid': grid} if grid else {}))
  wrong = {**fields, 'optim': {**fields['optim'], 'warmup_epochs': 9}}
  with pytest.raises(errors.UserError, match='warmup_epochs is 9'):
    finetune.run(wrong, pretrained, tmp_path)
  assert not [path for path in tmp_path.rglob('*') if path.is_file()]
  with monkeypatch.context() as patch:
    patch.setattr(evaluate, 'extract', lambda *args: 1 / 0)  # stopped before the scores
    with pytest.raises(ZeroDivisionError):
      finetune.run(fields, pretrained, tmp_path)
  with pytest.raises(errors.UserError, match='belongs to a run with another config'):
    finetune.run(wrong, pretrained, tmp_path)
  rotate = data_lib.Source.description.fget

  def rotated(source):
    changed = rotate(source)
    return {**changed, 'fingerprint': {**changed['fingerprint'], 'labels': 'others'}}
  with monkeypatch.context() as patch:
    patch.setattr(data_lib.Source, 'description', property(rotated))
    with pytest.raises(errors.UserError, match='as many images, but other labels'):
      finetune.run(fields, pretrained, tmp_path)
  assert finetune.run(fields, pretrained, tmp_path)['test']['n'] == 20


def load(workdir):
  return encoder_lib.load(workdir, mesh_lib.data_mesh())


def test_result_says_what_was_done(tuned):
  workdir, result = tuned
  assert result['protocol'] == (
      'fine-tuned from far, linear head on pooled, pool mean, none augmentation')
  assert len(result['class_names']) == 3
  assert np.shape(result['test']['confusion']) == (3, 3)
  assert result['train']['n'] == 9  # repeats are not scored
  rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').open()]
  assert rows[-1]['step'] == 2 * (65 // 16)  # but an epoch is as long as without subset


def test_frozen_layers_are_the_pretrained_ones(pretrained, tuned):
  before, after = load(pretrained).variables, load(tuned[0]).variables
  for collection in before:
    stages = [v[collection]['encoder'] for v in (before, {
        c: after[c]['network'] for c in after})]
    near, far = ([finetune.digest(s[name]) for s in stages] for name in ('near', 'far'))
    assert near[0] == near[1] and far[0] != far[1]


def test_the_checkpoint_gives_the_same_scores_and_features(tuned, tmp_path):
  workdir, result = tuned
  again = evaluate.run(
      {'protocol': {'name': 'own_head'}, 'data': {'validation_fraction': 0.2},
       'features': {'endpoint': 'logits', 'batch_size': 16}}, workdir, tmp_path)
  assert again['class_names'] == result['class_names']
  for split in ('validation', 'test'):
    assert again[split] == result[split]
  assert again['train']['n'] == 65


def test_a_fine_tuned_network_is_fine_tuned_again(tuned, tmp_path):
  fields = config(head={'name': 'conv_block', 'width': 4},
                  features={'endpoint': 'far', 'pool': 'none', 'batch_size': 16})
  result = linear_probe.run(fields, tuned[0], tmp_path)
  assert result['protocol'].startswith('conv_block head on far')
  got, before = load(tmp_path), load(tuned[0]).variables
  assert got.method.stages((8, 8, 3)) == ('near', 'far', 'head')
  assert finetune.digest({c: got.variables[c]['network'] for c in before}) == (
      finetune.digest(before))


def test_frozen_layers_that_move_are_caught(pretrained, tmp_path, monkeypatch):
  nudge = lambda self, variables, progress: variables.replace(
      non_trainable=jax.tree.map(lambda x: x * 1.001, variables.non_trainable))
  monkeypatch.setattr(methods.finetune.FineTune, 'after_update', nudge)
  with pytest.raises(AssertionError, match='frozen layers changed'):
    linear_probe.run(config(), pretrained, tmp_path)


def test_as_many_steps_as_asked_whatever_an_epoch_is(pretrained, tmp_path):
  finetune.run(config(train={'steps': 6}), pretrained, tmp_path)  # 4 to an epoch
  rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
  assert rows[-1]['step'] == 6 and rows[-1]['train/learning_rate'] < 0.01  # the end


def test_from_scratch_initialises_the_encoder_at_random(pretrained, tmp_path):
  untouched = {'from_scratch': True, 'freeze_until': None,
               'optim': {'name': 'sgd', 'learning_rate': 0.}, 'train': {'steps': 1}}
  encoder = lambda v: v['params']['network']['encoder']
  digests = {finetune.digest(load(pretrained).variables['params']['encoder'])}
  for seed in (0, 1):
    finetune.run(config(**untouched, seed=seed), pretrained, tmp_path / str(seed))
    digests.add(finetune.digest(encoder(load(tmp_path / str(seed)).variables)))
  assert len(digests) == 3


def test_a_grid_is_searched_and_its_best_trained_on_validation_images_too(
    pretrained, tmp_path):
  fields = config(freeze_until=None, bn_momentum='auto', score='mean_per_class',
                  grid={'learning_rates': [1e-4, 0.3]})
  result = finetune.run(fields, pretrained, tmp_path)
  assert [sorted(cell) for cell in result['grid']] == 2 * [
      ['learning_rate', 'validation_mean_per_class', 'weight_decay']]
  assert (result['train']['n'], result['validation']['n']) == (80, 15)
  assert result['chosen']['learning_rate'] in (1e-4, 0.3)
  assert np.sum(result['test']['confusion']) == result['test']['n'] == 20
  cell = json.loads((tmp_path / 'grid/lr0.3_wd0/result.json').read_text())['result']
  assert cell['test'] is None and cell['train'] is None
  resolved = load(tmp_path / 'refit').config
  assert resolved['method']['bn_momentum'] == 0.9  # 80 // 16 steps: fewer than 100


@pytest.mark.parametrize('images, momentum', [
    (256 * 200, 0.95), (256 * 100, 0.9), (256 * 20, 0.9), (10, 0.9)])
def test_momentum_of_batch_statistics_by_the_steps_of_an_epoch(images, momentum):
  resolved = resolve({'recipe': 'none'}, images=images, bn_momentum='auto',
                     feed={'batch_size': 256})
  assert resolved['method']['bn_momentum'] == pytest.approx(momentum)


@pytest.mark.parametrize('fields, words', [
    ({'layer_decay': 1.5}, ['config.layer_decay is 1.5']),
    ({'freeze_until': 'stage5'}, ["freeze_until is 'stage5'", 'near, far, head']),
    ({'features': {'endpoint': 'projection3'}}, ["endpoint is 'projection3'",
                                                 'projection1, projection2']),
    ({'data': {**DATA, 'label_subset': {'fraction': 0.01}}},
     ['none of the', 'class 0']),
    ({'data': {**DATA, 'label_subset': {'per_class': 5}}},
     ['batch_size is 16, more than the 15', 'config.feed.batch_size=8',
      'config.data.label_subset.repeat=True']),
    ({'feed': {'batch_size': 512}}, ['batch_size is 512, more than the 65 images of ',
                                     'use --config.feed.batch_size=64']),
    ({'data': {'image_size': 16}}, ['config.data.image_size=8']),
])
def test_mistakes_are_explained(fields, words, pretrained, tmp_path, monkeypatch):
  def reached(*_):
    raise AssertionError('images were decoded')
  monkeypatch.setattr(feed_lib, 'make_feed', reached)
  with pytest.raises(errors.UserError) as error:
    finetune.run(config(**{'freeze_until': None, **fields}), pretrained, tmp_path)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_the_batch_size_that_is_named_will_do(pretrained, tmp_path):
  fields = config(feed={'batch_size': 512})
  with pytest.raises(errors.UserError) as error:
    linear_probe.run(fields, pretrained, tmp_path)
  named = int(re.search(r'--config.feed.batch_size=(\d+)', str(error.value))[1])
  fields['feed'] = {'batch_size': named}
  encoder = load(pretrained)
  data = downstream.data_config(fields['data'], encoder)
  source = finetune.load_images(data, encoder, 'train', refit=False)
  feed = feed_lib.make_feed(source, feed_lib.FeedConfig(named), seed=0,
                                     mesh=mesh_lib.data_mesh())
  assert feed.steps_per_epoch == 1


def test_a_probe_of_another_encoder_is_refused(pretrained, tmp_path, monkeypatch):
  def train(encoder, claim, *unused):
    claim()
    return {'chosen': {}, **dict.fromkeys(('train', 'validation', 'test'))}
  monkeypatch.setattr(finetune, 'train', train)
  linear_probe.run(config(), pretrained, tmp_path / 'probe')
  other = tiny.pretrained(tmp_path / 'other', model={'name': 'staged'}, seed=1,
                          train={'epochs': 0})
  words = f'encoder: step 0 of {pretrained}/.* -> step 0 of {other}/'
  with pytest.raises(errors.UserError, match=words):
    linear_probe.run(config(), other, tmp_path / 'probe')
  (tmp_path / 'probe' / 'result.json').unlink()  # as if it had not come to its end
  with pytest.raises(errors.UserError, match=words):
    linear_probe.run(config(), other, tmp_path / 'probe')


def resolve(augment, labels=True, images=2, **fields):
  encoder = encoder_lib.TrainedEncoder(
      method=None, variables=None, step=0, image_shape=(8, 8, 3), class_names=(),
      config={**tiny.config(), 'augment': {'recipe': 'rotnet', 'size': 8,
                                           'mean': [0.5] * 3, 'std': [0.25] * 3},
              'dataset': {'image_shape': [8, 8, 3], 'class_names': []}})
  source = data_lib.Arrays(np.zeros((images, 8, 8, 3), np.uint8), np.arange(images) % 2,
                           ('a', 'b') if labels else (), 'photos/train')
  fields = config(augment=augment, **fields)
  return finetune.resolve(finetune.parse(fields), fields, encoder, source)


def test_views_are_normalised_as_the_encoder_knows_them():
  method = methods.build(resolve({'recipe': 'crop_flip'}), 2)
  known = dict(size=8, mean=(0.5,) * 3, std=(0.25,) * 3)
  assert method.policies == (policies.build('crop_flip', **known),)
  assert method.preprocess == policies.build('none', **known)
  stated = methods.build(resolve({'recipe': 'none', 'size': 16}), 2).preprocess
  assert stated.size == 16 and stated.std == (0.25,) * 3


def test_images_without_labels_are_refused():
  with pytest.raises(errors.UserError, match='photos/train has no labels.*data.name'):
    resolve({'recipe': 'none'}, labels=False)
