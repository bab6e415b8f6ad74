"""Tests which endpoints a network returns, and what each head takes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax.methods import network

IMAGES = jnp.asarray(np.random.default_rng(0).random((4, 2, 2, 3), np.float32))


class Encoder(nn.Module):
  def __call__(self, x, *, train):
    return {'stage1': x, 'pooled': x.mean((1, 2))}


class Adds(nn.Module):
  """Adds `amount` to its input, and 10 more in training."""
  name_out: str
  amount: float

  def __call__(self, x, *, train):
    out = x + self.amount + 10 * train
    return {self.name_out: out} if self.name_out else out


def apply(train=False, **parts):
  module = network.Network(encoder=Encoder(), **parts)
  return jax.jit(lambda x: module.apply({}, x, train=train))(IMAGES)


def test_an_encoder_alone_returns_its_endpoints():
  found = apply()
  assert found.keys() == {'stage1', 'pooled'}
  np.testing.assert_allclose(found['pooled'], IMAGES.mean((1, 2)), rtol=1e-6)


def test_the_projector_takes_pooled_and_the_predictor_the_projection():
  pooled = IMAGES.mean((1, 2))
  found = apply(projector=Adds('projection', 1.), predictor=Adds('prediction', 2.))
  np.testing.assert_allclose(found['projection'], pooled + 1, rtol=1e-6)
  np.testing.assert_allclose(found['prediction'], pooled + 3, rtol=1e-6)


def test_the_head_takes_pooled_whatever_else_there_is():
  found = apply(projector=Adds('projection', 1.), head=Adds('', 5.))
  np.testing.assert_allclose(found['logits'], IMAGES.mean((1, 2)) + 5, rtol=1e-6)


def test_every_part_knows_whether_it_is_trained():
  parts = dict(projector=Adds('projection', 0.), predictor=Adds('prediction', 0.),
               head=Adds('', 0.))
  still, trained = apply(**parts), apply(train=True, **parts)
  for name, difference in (('projection', 10), ('prediction', 20), ('logits', 10)):
    np.testing.assert_allclose(trained[name] - still[name], difference, rtol=1e-5)
