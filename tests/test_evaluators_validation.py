"""Tests the measures without labels: by hand, and on features of known rank."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.data import datasets, feed
from ssl_jax.evaluators import validation
from ssl_jax.parallel import mesh as mesh_lib


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def made(method, batch_size=16):
  """Returns the measures of a method on the 80 images of tiny.py, and its variables."""
  mesh = mesh_lib.data_mesh()
  source = datasets.load(split='train', validation_fraction=0, **tiny.DATA)
  built = methods.build({**tiny.config(method), 'model': {'name': 'stub'}}, 4)
  variables = jax.jit(lambda key: built.init(key, (8, 8, 3)))(jax.random.key(0))
  batches = lambda: feed.eval_batches(source, batch_size, mesh)
  return validation.Validation(built, batches, batches), variables, built, batches


def test_loss_and_alignment_are_means_over_batches():
  measures, variables, method, batches = made('simclr')
  losses, distances, compiled = [], [], jax.jit(method.loss)
  for i, batch in enumerate(batches()):
    views = method.views(jax.random.fold_in(jax.random.key(0), i), batch)
    loss, output = compiled(variables.params, variables, views, batch['label'])
    h = np.asarray(output.endpoints['pooled'], np.float64)
    h /= np.linalg.norm(h, axis=1, keepdims=True)
    losses.append(float(loss))
    distances.append(np.square(h[::2] - h[1::2]).sum(1).mean())
  found = measures(variables)
  assert len(losses) == 5
  np.testing.assert_allclose(found['validation/loss'], np.mean(losses), rtol=1e-5)
  np.testing.assert_allclose(found['validation/alignment'], np.mean(distances),
                             rtol=1e-4)
  assert found == measures(variables)  # the views are the same each time


def test_a_method_with_one_view_has_no_alignment():
  measures, variables, _, _ = made('supervised')
  found = measures(variables)
  assert 'validation/loss' in found and 'validation/alignment' not in found


def test_features_of_known_rank():
  axes = np.concatenate([np.eye(4), -np.eye(4)])  # centred, four equal directions
  found = validation.measure(np.pad(axes, ((0, 0), (0, 6))))
  np.testing.assert_allclose(found['effective_rank'], 4)
  np.testing.assert_allclose(found['rank_fraction'], 4 / 7)  # N - 1 is below D = 10
  np.testing.assert_allclose(validation.measure(axes)['feature_deviation'], 1)


def test_collapse_is_a_sentence():
  prefixed = lambda x: {f'validation/{k}': v for k, v in validation.measure(x).items()}
  rng = np.random.default_rng(0)
  assert validation.warning(prefixed(rng.normal(size=(50, 8)))) == ''
  one_direction = rng.normal(size=(50, 1)) * np.ones((1, 8)) + 1e-9
  assert 'vary in 1.00 directions' in validation.warning(prefixed(one_direction))
  point = 1 + 1e-4 * rng.normal(size=(50, 8))
  assert 'collapsed' in validation.warning(prefixed(point))
