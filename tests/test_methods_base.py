"""What `Base` gives a method: several sizes, recipes by view, state of its own."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.methods import base
from ssl_jax.performance import network
from ssl_jax.train import online_probe


@dataclasses.dataclass(frozen=True)
class MultiCrop(base.Base):
  """Embeddings of small views approach the mean of those of the large ones.

  Keeps a queue of the last embeddings, as MoCo does, which the loss itself moves.
  """
  num_crops: ClassVar[int | None] = None

  @staticmethod
  def build_heads(spec, num_classes, dtype):
    return {'projector': spec.projector(dtype=dtype)}

  def init(self, key, image_shape):
    return super().init(key, image_shape).replace(non_trainable=jnp.zeros((32, 8)))

  def loss(self, params, variables, views, labels):
    (large, small), model_state = self.forward(params, variables.model_state, views)
    images = len(labels)
    mean = lambda x: x['projection'].reshape(images, -1, 8).mean(1)
    target = jax.lax.stop_gradient(mean(large))
    queue = jnp.concatenate([target, variables.non_trainable])[:32]
    loss = jnp.square(mean(small) - target).mean()
    return loss, base.LossOutput(model_state, {}, large, queue)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
  monkeypatch.setitem(methods.METHODS, 'multi_crop', MultiCrop)
  with stub_encoder.registered():
    yield


def config(**train):
  return {**tiny.config('multi_crop', **train), 'model': {'name': 'stub'},
          'augment': {'recipe': 'crop_flip', 'size': 8, 'views': {
              'large': {'count': 2}, 'small': {'size': 4, 'count': 3}}}}


def test_each_size_passes_as_one_batch():
  method = methods.build(config(), 0)
  assert method.views_per_image == 5
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  assert [x.shape for x in views] == [(8, 8, 8, 3), (12, 4, 4, 3)]
  found, model_state = jax.jit(method.forward)(variables.params, variables.model_state,
                                               views)
  stats = variables.model_state
  for x, endpoints in zip(views, found, strict=True):
    expected, updated = method.network.apply(
        {'params': variables.params, 'batch_stats': stats}, x, train=True,
        mutable=['batch_stats'])
    stats = updated['batch_stats']
    np.testing.assert_allclose(endpoints['projection'], expected['projection'],
                               rtol=1e-3, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
               model_state, stats)


@pytest.mark.parametrize('chunks', [1, 2])
def test_two_sizes_train_alike_on_1_and_8_devices(chunks):
  fields = config(grad_cache_chunks=chunks)
  probe = online_probe.OnlineProbe(num_classes=4)
  one, rows, _ = tiny.train(fields, devices=1, probe=probe)
  eight, others, _ = tiny.train(fields, devices=8, probe=probe)
  for a, b in zip(rows, others, strict=True):
    np.testing.assert_allclose(a['loss'], b['loss'], rtol=2e-4, atol=1e-6)
  queue = np.asarray(one.variables.non_trainable)
  np.testing.assert_allclose(queue, eight.variables.non_trainable, rtol=1e-3, atol=1e-3)
  assert np.abs(queue[:16] - queue[16:]).max() > 1e-4 and (queue != 0).all()


def test_the_cost_counts_every_size():
  cost = network.cost(methods.build(config(), 0), (8, 8, 3))
  assert [(one.views, one.layers[0].outputs) for one in cost.passes] == [
      (2, 8 * 8 * 6), (3, 4 * 4 * 6)]


def test_a_method_with_any_number_of_views_needs_them_named():
  fields = {**config(), 'augment': {'recipe': 'crop_flip'}}
  with pytest.raises(errors.UserError, match='config.augment.views is missing'):
    methods.build(fields, 0)


def test_images_are_encoded_at_the_size_that_views_share():
  fields = config()
  fields['augment'] |= {'mean': [0.5] * 3, 'std': [0.25] * 3}
  policy = methods.build(fields, 0).preprocess
  assert (policy.size, policy.mean) == (8, (0.5,) * 3)
