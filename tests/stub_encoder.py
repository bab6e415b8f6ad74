"""Encoders that compile fast, for tests of code that uses encoders."""

import contextlib

import flax.linen as nn
import jax.numpy as jnp
import pytest

from ssl_jax import models
from ssl_jax.models import layers


class Stub(nn.Module):
  """Maps [B, H, W, C] to 'stage1' [B, H, W, 6] and 'pooled', its mean after ReLU."""

  @nn.compact
  def __call__(self, x, *, train):
    x = layers.conv(6, 3, dtype=jnp.float32, name='conv')(x)
    x = nn.relu(layers.batch_norm(train=train, dtype=jnp.float32, name='bn')(x))
    return {'stage1': x, 'pooled': x.mean((1, 2))}


class Stage(nn.Module):
  """Maps [B, H, W, C] to [B, H, W, 4]."""

  @nn.compact
  def __call__(self, x, *, train):
    x = layers.conv(4, 1, dtype=jnp.float32, name='conv')(x)
    return nn.relu(layers.batch_norm(train=train, dtype=jnp.float32, name='bn')(x))


class Staged(nn.Module):
  """Has the stages 'near', 'far' and 'pooled', which are not in alphabetical order."""

  @nn.compact
  def __call__(self, x, *, train):
    near = Stage(name='near')(x, train=train)
    far = Stage(name='far')(near, train=train)
    return {'near': near, 'far': far, 'pooled': far.mean((1, 2))}


@contextlib.contextmanager
def registered():
  """Adds the models 'stub' and 'staged' while a module of tests runs."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, 'stub', lambda *, dtype: Stub())
    patch.setitem(models.MODELS, 'staged', lambda *, dtype: Staged())
    yield
