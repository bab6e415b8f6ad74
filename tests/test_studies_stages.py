"""Tests the order and the configs of the stages of a study, and mistakes."""

import pytest
import stub_encoder
from tiny_study import by_labels, compressed, config, head

from ssl_jax import errors
from ssl_jax.jobs import evaluate, finetune, linear_probe, pictures
from ssl_jax.studies import stages


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def of(evaluations, methods=('simclr', 'random')):
  """Returns the config of a study with these evaluations."""
  fields = config()
  return stages.resolve({
      **fields, 'methods': {name: fields['methods'][name] for name in methods},
      'evaluations': evaluations})


def knn(**fields):
  return {'protocol': {'name': 'knn', 'k': 5}, **fields}


def test_stages_come_seed_by_seed_and_a_training_before_its_evaluations():
  found = list(stages.stages(stages.resolve(config(seeds=(0, 3)))))
  assert [str(stage) for stage in found] == [
      f'{method}, seed {seed}: {name}' for seed in (0, 3) for method, name in (
          ('simclr', 'pretrain'), ('simclr', 'knn'), ('simclr', 'probe'),
          ('random', 'pretrain'), ('random', 'knn'))]


def test_a_method_that_names_a_checkpoint_is_not_trained():
  fields = config(seeds=(4,))
  fields['methods'] = {'simclr': {'checkpoint': 'runs/{seed}', 'no field': 1}}
  fields = stages.resolve(fields)
  assert fields['methods'] == {'simclr': {'checkpoint': 'runs/{seed}'}}
  fields['evaluations'] = {'knn': knn()}
  assert [stage.name for stage in stages.stages(fields)] == ['knn']


def test_label_subsets_become_evaluations():
  fields = of({'probe': by_labels(head()), 'knn': knn(methods=['random'])})
  few, whole, neighbours = stages.evaluations(fields)
  assert [e.name for e in (few, whole, neighbours)] == ['probe_few', 'probe_all', 'knn']
  assert few.fields == {**head(), 'data': {
      'validation_fraction': 0, 'label_subset': {'per_class': 2, 'repeat': True}}}
  assert whole.fields['data'] == {'validation_fraction': 0, 'label_subset': None}
  assert (few.subset, whole.subset) == (('probe', 'few'), ('probe', 'all'))
  assert few.methods == ('simclr', 'random') and neighbours.methods == ('random',)
  assert neighbours.fields == knn() and neighbours.subset == ()


def test_data_sets_become_evaluations_with_fields_of_their_own():
  fields = of({'knn': knn(
      data={'validation_fraction': 0.2}, methods=['random'], data_sets={
          'digits': {'data': {'name': 'digits'}},
          'other': {'data': {'name': 'cifar10'}, 'protocol': {'k': 3}}})})
  digits, other = stages.evaluations(fields)
  assert (digits.name, other.name) == ('knn_digits', 'knn_other')
  assert digits.fields == knn(data={'validation_fraction': 0.2, 'name': 'digits'})
  assert other.fields == {'protocol': {'name': 'knn', 'k': 3},
                          'data': {'validation_fraction': 0.2, 'name': 'cifar10'}}
  assert (digits.data_set, other.data_set) == (('knn', 'digits'), ('knn', 'other'))


def test_the_fields_of_an_evaluation_decide_which_job_does_it():
  fields = of({
      'a': {'protocol': {'name': 'nn1'}}, 'b': head(),
      'c': {**head(), 'freeze_until': None}, 'd': {**head(), 'freeze_until': 'stage2'}})
  assert [e.module for e in stages.evaluations(fields)] == [
      evaluate, linear_probe, finetune, finetune]


def test_a_checkpoint_that_is_missing_is_an_error_for_the_seed_that_lacks_it(tmp_path):
  (tmp_path / 'run0' / 'checkpoints' / '7').mkdir(parents=True)
  fields = {'checkpoint': str(tmp_path / 'run{seed}')}
  assert stages.checkpoint_of(fields, 0) == tmp_path / 'run0' / 'checkpoints'
  with pytest.raises(errors.UserError, match='run1 holds no check'):
    stages.checkpoint_of(fields, 1)


def test_the_config_of_a_study_that_is_right_passes():
  stages.check(stages.resolve(config()))


def test_a_compressed_method_follows_its_source_and_has_a_first_stage():
  fields = stages.resolve(compressed())
  stages.check(fields)
  assert [str(stage) for stage in stages.stages(fields)] == [
      'simclr, seed 0: pretrain', 'simclr, seed 0: knn',
      'small, seed 0: pretrain', 'small, seed 0: knn']
  assert stages.compression_of(fields['methods']['small']).keys() == {
      'compression', 'feed', 'optim', 'train'}


@pytest.mark.parametrize('change, match', [
    (lambda m: m['small'].update(compressed_from='simcrl'),
     r"^methods.small: compressed_from is 'simcrl'; .*did you mean 'simclr'"),
    (lambda m: m['small'].update(compressed_from='small'),
     r"^methods.small: compressed_from is 'small'"),
    (lambda m: m.update(smaller={**m['small'], 'compressed_from': 'small'}),
     r"^methods.smaller: compressed_from is 'small'"),
    (lambda m: m.update(simclr=m.pop('simclr')), r"^methods.small: compressed_from"),
    (lambda m: m['small']['compression'].update(sparsity=2.),
     r'^methods.small: .*sparsity is 2')])
def test_mistakes_of_a_compressed_method(change, match):
  fields = compressed()
  change(fields['methods'])
  with pytest.raises(errors.UserError, match=match):
    stages.check(stages.resolve(fields))


@pytest.mark.parametrize('change, match', [
    (lambda c: c['methods']['simclr']['optim'].update(lr=1), r'methods.simclr: .*lr'),
    (lambda c: c['evaluations']['knn']['protocol'].update(kk=1), r'evaluations.knn: '),
    (lambda c: c['evaluations']['knn'].update(methods=['random', 'simcrl']),
     r"knn\.methods is 'simcrl'; accepted are .*; did you mean 'simclr'"),
    (lambda c: c['evaluations']['knn'].update(methods='simclr'),
     r"knn\.methods is 'simclr'; give a list"),
    (lambda c: c['evaluations'].update(
        probe={**head(), 'subsets': {'few': {'per_clas': 2}}}),
     r"^evaluations.probe_few: .*label_subset.per_clas is.*did you mean 'per_class'"),
    (lambda c: c['methods']['simclr']['data'].update(label_subset={'frction': 0.1}),
     r"^methods.simclr: .*label_subset.frction is.*did you mean 'fraction'"),
    (lambda c: c['evaluations'].update(
        pretrain=c['evaluations']['knn']), r"'pretrain', which another stage writes"),
    (lambda c: c['evaluations'].update(
        knn_few={'protocol': {'name': 'knn'}},
        knn=by_labels(c['evaluations']['knn'])), r"'knn_few', which another stage"),
    (lambda c: c['evaluations']['probe'].update(
        subsets={'a': None}, data_sets={'b': {}}),
     'config.evaluations.probe has subsets and data_sets'),
    (lambda c: c['evaluations']['knn'].update(
        data_sets={'b': {'protocol': {'kk': 1}}}), r'^evaluations.knn_b: .*kk'),
    (lambda c: c.update(seeds=[]), 'config.seeds')])
def test_mistakes_are_explained(change, match):
  fields = config()
  change(fields)
  with pytest.raises(errors.UserError, match=match):
    stages.check(stages.resolve(fields))


def test_pictures_are_the_last_stage_of_the_first_seed():
  fields = stages.resolve({**config(seeds=(3, 4)), 'pictures': {'images': 8},
                           'heatmap': {'cells': {'random': [0, 0]}}})
  stages.check(fields)
  found = [str(s) for s in stages.stages(fields) if s.name == 'pictures']
  assert found == ['simclr, seed 3: pictures']
  (drawn,) = [s.evaluation for s in stages.stages(fields) if s.name == 'pictures']
  assert drawn.module is pictures and drawn.fields == {'images': 8}
  fields['pictures'] = {'methods': ['random'], 'images': 1}
  assert stages.pictures_of(fields).methods == ('random',)
  with pytest.raises(errors.UserError, match='^pictures: config.images is 1'):
    stages.check(fields)
