import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssl_jax import config, errors
from ssl_jax.train import optim

# An epoch is 8 images in 4 steps; the peak rate is not scaled.
RUN = {'batch_size': 2, 'num_examples': 8, 'total_steps': 40}


def build(fields, **run):
  return optim.build(config.build(optim.Optim, fields, 'optim'), **run)
CONSTANT = {'schedule': 'constant', 'learning_rate_scaling': 'none'}


def parameters(seed=0):
  rng = np.random.default_rng(seed)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  return {
      'encoder': {'stem': {'conv1': {'kernel': draw(3, 3, 2, 4)},
                           'bn1': {'scale': draw(4), 'bias': draw(4)}},
                  'stage1': {'block1': {'dead': {'kernel': np.zeros((2, 2), 'f')}}}},
      'projector': {'dense1': {'kernel': draw(4, 3), 'bias': draw(3)},
                    'BatchNorm_0': {'scale': draw(3)}},
      'head': {'dense': {'kernel': draw(4, 2), 'bias': draw(2)}},
  }


def by_path(tree):
  return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


KERNELS = {'encoder/stem/conv1/kernel', 'encoder/stage1/block1/dead/kernel',
           'projector/dense1/kernel', 'head/dense/kernel'}
BIASES = {'projector/dense1/bias', 'head/dense/bias'}
NORMS = {'encoder/stem/bn1/scale', 'encoder/stem/bn1/bias',
         'projector/BatchNorm_0/scale'}
DECAYED = {'kernels': KERNELS, 'no_norm': KERNELS | BIASES,
           'all': KERNELS | BIASES | NORMS}


def steps(fields, gradients, **run):
  """Returns the parameters after each gradient."""
  tx, _ = build(fields, **(RUN | run))
  params = parameters()
  state, update = tx.init(params), jax.jit(tx.update)
  for gradient in gradients:
    updates, state = update(gradient, state, params)
    params = optax.apply_updates(params, updates)
    yield by_path(params)


def gradients(n):
  result = [parameters(seed) for seed in range(1, n + 1)]
  for i, g in enumerate(result):
    g['encoder']['stage1']['block1']['dead']['kernel'] += float(i % 2)
  result[-1]['projector']['dense1']['kernel'][:] = 0
  return result


def test_lars_by_hand():
  """Computes LARS as google-research/simclr: L2, trust ratio, rate, then momentum.

  The head's kernel gets the L2 that they add to the loss, and no trust ratio.
  """
  fields = {'name': 'lars', 'learning_rate': 3.0, 'learning_rate_scaling': 'none',
            'warmup_epochs': 0.5, 'weight_decay': 0.1}
  rate = lambda s: 3 * s / 2 if s < 2 else 1.5 * (1 + math.cos(math.pi * (s - 2) / 38))
  grads = gradients(6)
  w = {k: v.astype(np.float64) for k, v in by_path(parameters()).items()}
  v = {k: np.zeros_like(x) for k, x in w.items()}
  for s, got in enumerate(steps(fields, grads)):
    for name, g in by_path(grads[s]).items():
      g = g + (0.1 * w[name] if name in KERNELS else 0)
      norms = np.linalg.norm(w[name]), np.linalg.norm(g)
      trust = 1.0
      if name in KERNELS - {'head/dense/kernel'} and min(norms) > 0:
        trust = 0.001 * norms[0] / norms[1]
      v[name] = 0.9 * v[name] + rate(s) * trust * g
      w[name] = w[name] - v[name]
      np.testing.assert_allclose(got[name], w[name], rtol=2e-5, atol=1e-6,
                                 err_msg=f'step {s}, {name}')


@pytest.mark.parametrize('nesterov', [True, False])
def test_sgd_by_hand(nesterov):
  """Computes torch.optim.SGD, which adds L2 to the gradient and the rate last."""
  fields = {'name': 'sgd', 'learning_rate': 0.1, 'weight_decay': 0.01, **CONSTANT}
  fields |= {} if nesterov else {'nesterov': False}  # on by default
  grads = gradients(4)
  w, v = by_path(parameters()), {k: 0.0 for k in by_path(parameters())}
  for s, got in enumerate(steps(fields, grads)):
    for name, g in by_path(grads[s]).items():
      g = g + (0.01 * w[name] if name in KERNELS else 0)
      v[name] = 0.9 * v[name] + g
      w[name] = w[name] - 0.1 * (g + 0.9 * v[name] if nesterov else v[name])
      np.testing.assert_allclose(got[name], w[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', ['adam', 'adamw'])
def test_adam_by_hand(name):
  fields = {'name': name, 'learning_rate': 0.01, 'weight_decay': 0.1,
            'betas': [0.8, 0.95], **CONSTANT}
  grads = gradients(4)
  w = by_path(parameters())
  m, v = ({k: 0.0 for k in w} for _ in range(2))
  for s, got in enumerate(steps(fields, grads)):
    for leaf, g in by_path(grads[s]).items():
      decay = 0.1 * w[leaf] if leaf in KERNELS else 0
      g = g + (decay if name == 'adam' else 0)
      m[leaf] = 0.8 * m[leaf] + 0.2 * g
      v[leaf] = 0.95 * v[leaf] + 0.05 * g * g
      update = m[leaf] / (1 - 0.8**(s + 1)) / (
          np.sqrt(v[leaf] / (1 - 0.95**(s + 1))) + 1e-8)
      update = update + (decay if name == 'adamw' else 0)
      w[leaf] = w[leaf] - 0.01 * update
      np.testing.assert_allclose(got[leaf], w[leaf], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', ['lars', 'sgd', 'adamw'])
@pytest.mark.parametrize('mask', ['kernels', 'no_norm', 'all'])
def test_what_decays(name, mask):
  fields = {'name': name, 'learning_rate': 0.1, 'weight_decay': 0.5,
            'weight_decay_mask': mask, **CONSTANT}
  before = by_path(parameters())
  zero = jax.tree.map(np.zeros_like, parameters())
  (after,) = steps(fields, [zero])
  changed = {k for k in before if not np.array_equal(before[k], after[k])}
  assert changed == DECAYED[mask] - {'encoder/stage1/block1/dead/kernel'}


def test_clipping_by_the_global_norm():
  grads = gradients(1)
  norm = math.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads[0])))
  fields = {'name': 'sgd', 'learning_rate': 1.0, 'momentum': 0.0, 'clip_norm': 0.5,
            'nesterov': False, **CONSTANT}
  (after,) = steps(fields, grads)
  before, gradient = by_path(parameters()), by_path(grads[0])
  for name in before:
    np.testing.assert_allclose(
        after[name], before[name] - gradient[name] * 0.5 / norm, rtol=1e-5, atol=1e-6)


def schedule(fields, **run):
  return build(fields, **(RUN | run))[1]


@pytest.mark.parametrize('num_examples, batch_size, epochs, warmup, total', [
    (50_000, 512, 1000, 970, 97_657),       # CIFAR-10; google's warm-up has 976 steps
    (1_281_167, 4096, 100, 3120, 31_279)])  # ImageNet; 3127
def test_cosine_as_google(num_examples, batch_size, epochs, warmup, total):
  assert total == num_examples * epochs // batch_size + 1
  rate = schedule({'warmup_epochs': 10}, num_examples=num_examples,
                  batch_size=batch_size, total_steps=total)
  peak = 0.3 * batch_size / 256
  expected = {0: 0, 1: peak / warmup, warmup - 1: peak * (warmup - 1) / warmup,
              warmup: peak, (warmup + total) // 2: peak / 2, total: 0}
  for step, value in expected.items():
    np.testing.assert_allclose(rate(step), value, atol=2e-4 * peak, err_msg=str(step))
    np.testing.assert_allclose(jax.jit(rate)(jnp.int32(step)), rate(step), rtol=1e-4,
                               atol=1e-6)
  assert rate(warmup - 1) < rate(warmup) > rate(warmup + 1000)


@pytest.mark.parametrize('num_examples, batch_size, epochs, total, warmup', [
    (1000, 512, 5, 15, 5), (1000, 512, 10, 15, 10), (1999, 500, 2.5, 30, 7),
    (2000, 500, 2.5, 40, 10)])
def test_an_epoch_of_warm_up_is_an_epoch_of_training(
    num_examples, batch_size, epochs, total, warmup):
  """An epoch has floor(N / B) steps; the images that remain are not used."""
  rate = schedule({'warmup_epochs': epochs, **CONSTANT, 'learning_rate': 1.},
                  num_examples=num_examples, batch_size=batch_size, total_steps=total)
  np.testing.assert_allclose([rate(warmup - 1), rate(warmup)], [1 - 1 / warmup, 1])


def test_steps_as_rotnet():
  """The rates are 0.1, 0.02, 0.004 and 0.0008, each from the first step of an epoch."""
  fields = {'name': 'sgd', 'schedule': 'step', 'learning_rate': 0.1, 'factor': 0.2,
            'learning_rate_scaling': 'none', 'boundaries_epochs': [60, 120, 160]}
  rate = schedule(fields, num_examples=50_001, batch_size=128, total_steps=78_000)
  for epoch, expected in ((0, 0.1), (59, 0.1), (60, 0.02), (119, 0.02), (120, 0.004),
                          (159, 0.004), (160, 0.0008), (199, 0.0008)):
    for step in (epoch * 390, epoch * 390 + 389):
      np.testing.assert_allclose(rate(step), expected, rtol=1e-5)


def test_linear_after_a_warm_up_is_zero_at_the_last_step():
  rate = schedule({'learning_rate': 0.5, 'warmup_epochs': 2, **CONSTANT,
                   'schedule': 'linear'})  # 8 steps of warm-up, then 32
  for step in range(45):
    expected = 0.5 * step / 8 if step < 8 else 0.5 * max(40 - step, 0) / 32
    np.testing.assert_allclose(rate(step), expected, atol=1e-7)
  without = schedule({'learning_rate': 0.5, **CONSTANT, 'schedule': 'linear'})
  np.testing.assert_allclose([without(s) for s in (0, 10, 24, 40)],
                             [0.5, 0.375, 0.2, 0], atol=1e-7)


def test_constant_after_a_warm_up():
  rate = schedule({'learning_rate': 0.5, 'warmup_epochs': 1, **CONSTANT})
  np.testing.assert_allclose([rate(s) for s in (0, 1, 2, 3, 4, 39, 99)],
                             [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5])


@pytest.mark.parametrize('scaling, base', [
    ('linear', 0.3), ('sqrt', 0.075), ('none', 4.8)])
def test_scaling_at_a_batch_of_4096(scaling, base):
  """The two rules of the paper agree here, on 4.8."""
  rate = schedule({'learning_rate': base, 'learning_rate_scaling': scaling,
                   'schedule': 'constant'}, batch_size=4096)
  np.testing.assert_allclose(rate(0), 4.8, rtol=1e-6)


@pytest.mark.parametrize('fields, words', [
    ({'name': 'larz'}, ['config.optim.name', "'larz'", "'lars'"]),
    ({'lr': 1.0}, ['config.optim.lr', 'learning_rate']),
    ({'learning_rate': -1.0}, ['config.optim.learning_rate is -1']),
    ({'learning_rate': math.nan}, ['config.optim.learning_rate is nan']),
    ({'learning_rate_scaling': 'square'}, ['learning_rate_scaling', 'sqrt']),
    ({'schedule': 'poly'}, ['config.optim.schedule', 'cosine']),
    ({'weight_decay_mask': 'bias'}, ['weight_decay_mask', 'no_norm']),
    ({'schedule': 'step'}, ['config.optim.boundaries_epochs', 'at least one']),
    ({'boundaries_epochs': [1]}, ['config.optim.boundaries_epochs', "'cosine'"]),
    ({'schedule': 'step', 'boundaries_epochs': [2, 1]}, ['boundaries_epochs', 'later']),
    ({'clip_norm': 0.0}, ['config.optim.clip_norm is 0.0', 'None']),
    ({'warmup_epochs': 10}, ['config.optim.warmup_epochs is 10', '40 steps', '40;']),
])
def test_mistakes_are_explained(fields, words):
  with pytest.raises(errors.UserError) as error:
    build(fields, **RUN)
  for word in words:
    assert word in str(error.value)


def rates(fields, step, **run):
  """Returns the learning rate of every parameter at a step, by gradients of 1."""
  tx, _ = build({'name': 'sgd', 'momentum': 0., 'nesterov': False,
                 'learning_rate': 0.1, 'learning_rate_scaling': 'none',
                 'schedule': 'cosine', **fields}, **(RUN | run))
  params = jax.tree.map(np.ones_like, parameters())
  state = tx.init(params)
  for _ in range(step + 1):
    updates, state = tx.update(params, state, params)
  return {name: -float(x.reshape(-1)[0]) for name, x in by_path(updates).items()}


def test_learning_rates_by_path():
  now = 0.05 * (1 + math.cos(math.pi * 10 / 40))
  found = rates({'multipliers': {'head': 10., 'encoder': 0.5, 'stem': 0.2},
                 'constant': ['projector']}, step=10)
  for name, rate in found.items():
    expected = {'head': 10 * now, 'projector': 0.1}.get(
        name.split('/')[0], (0.1 if 'stem' in name else 0.5) * now)
    np.testing.assert_allclose(rate, expected, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize('name', ['lars', 'sgd', 'adam', 'adamw'])
def test_factors_of_one_change_neither_the_result_nor_the_state(name):
  fields = {'name': name, 'learning_rate': 0.1, 'warmup_epochs': 1}
  for plain, with_factors in zip(
      steps(fields, gradients(3)),
      steps({**fields, 'multipliers': {'encoder': 1.}}, gradients(3)), strict=True):
    for path in plain:
      np.testing.assert_allclose(plain[path], with_factors[path], rtol=1e-6)
  shapes = [jax.tree.structure(build(f, **RUN)[0].init(parameters()))
            for f in (fields, {**fields, 'multipliers': {'encoder': 1.}})]
  assert shapes[0] == shapes[1]


def test_lars_adapts_a_predictor_like_a_projector():
  """The trust ratio makes the update independent of the gradient's scale."""
  fields = {'name': 'lars', 'momentum': 0., **CONSTANT}
  tx, _ = build(fields, **RUN)
  head = {'dense1': {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)},
          'bn1': {'scale': jnp.ones(2)}}
  params = {'projector': head, 'predictor': head}
  update = lambda factor: by_path(tx.update(
      jax.tree.map(lambda x: factor * x, params), tx.init(params), params)[0])
  one, seven = update(1.), update(7.)
  for name in one:
    ratio = seven[name].reshape(-1)[0] / one[name].reshape(-1)[0]
    assert ratio == pytest.approx(1 if 'kernel' in name else 7, rel=1e-5)


@pytest.mark.parametrize('fields, sentence', [
    ({'constant': ['predictr']}, "names 'predictr', but this run trains no module"),
    ({'multipliers': {'haed': 2.}}, "names 'haed'.*did you mean 'head'"),
    ({'multipliers': {'head': -1.}}, 'config.optim.multipliers.head is -1')])
def test_mistakes_about_paths_are_explained(fields, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    build(fields, **RUN)[0].init(parameters())
