"""Tests both directions against torchvision itself, where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import models
from ssl_jax.weights import torchvision

torch = pytest.importorskip('torch')
theirs = pytest.importorskip('torchvision').models

torch.set_num_threads(1)
NAMES = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152')
IMAGES = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)


def drawn(shapes, seed):
  """Draws arrays by PyTorch's names: positive variances and scales."""
  rng = np.random.default_rng(seed)
  return {name: np.float32(
      rng.uniform(0.5, 1.5, shape) if len(shape) == 1
      else rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:])))
          for name, shape in shapes.items()}


def shapes_of(name):
  """Returns the shapes of torchvision's network, without counters and `fc`."""
  with torch.device('meta'):
    state = getattr(theirs, name)().state_dict()
  return {key: tuple(x.shape) for key, x in state.items()
          if not key.endswith('num_batches_tracked') and not key.startswith('fc.')}


def features_of_torch(name, tensors):
  network = getattr(theirs, name)()
  missing, unexpected = network.load_state_dict(
      {key: torch.tensor(x) for key, x in tensors.items()}, strict=False)
  assert not unexpected
  assert all(key.startswith('fc.') or key.endswith('num_batches_tracked')
             for key in missing)
  network.fc = torch.nn.Identity()
  with torch.no_grad():
    return network.eval()(torch.tensor(IMAGES.transpose(0, 3, 1, 2))).numpy()


def features_of_ours(name, variables):
  own = {collection: tree['encoder'] for collection, tree in variables.items()}
  return jax.jit(lambda v: models.build(name).apply(v, IMAGES, train=False))(
      own)['pooled']


@pytest.mark.parametrize('name', NAMES)
def test_names_and_shapes(name):
  network = models.build(name)
  shapes = jax.eval_shape(lambda key: network.init(
      key, jnp.zeros((1, 64, 64, 3)), train=False), jax.random.key(0))
  tensors = torchvision.to_torchvision(
      {collection: {'encoder': jax.tree.map(
          lambda x: np.broadcast_to(np.float32(0), x.shape), tree)}
       for collection, tree in shapes.items()})
  assert {key: x.shape for key, x in tensors.items()} == shapes_of(name)


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_features_are_equal_in_both_directions(name):
  tensors = drawn(shapes_of(name), seed=1)
  variables, unknown = torchvision.from_torchvision(tensors)
  assert not unknown
  ours = features_of_ours(name, variables)
  assert np.std(ours) > 0.01
  np.testing.assert_allclose(ours, features_of_torch(name, tensors), rtol=1e-4,
                             atol=1e-4 * np.abs(ours).max())
  exported = torchvision.to_torchvision(jax.tree.map(jnp.asarray, variables))
  np.testing.assert_array_equal(features_of_torch(name, exported),
                                features_of_torch(name, tensors))
