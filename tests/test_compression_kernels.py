"""Tests which kernels are found and which of them may be pruned."""

import functools

import jax
import jax.numpy as jnp
import pytest

from ssl_jax import models
from ssl_jax.compression import kernels
from ssl_jax.methods.network import Network
from ssl_jax.models import heads

CHOSEN = functools.partial(kernels.prunable, dense_stem=True, dense_head=True)


def shapes(name, head=True, **fields):
  """Returns the shapes of the parameters of an encoder and its heads."""
  network = Network(models.MODELS[name](dtype=jnp.float32, **fields),
                    projector=heads.ProjectionHead() if head else None,
                    head=heads.LinearHead(10) if head else None)
  image = jnp.zeros((1, 32, 32, 3))
  return jax.eval_shape(lambda: network.init(jax.random.key(0), image, train=False)
                        )['params']


@pytest.mark.parametrize('name, count', [
    # Convolutions of He et al., table 1: 1 + 16 blocks x 3 + 4 projections, and
    # 1 + 18; NIN has 4 blocks x 3.
    ('resnet50', 53), ('resnet20', 19), ('nin', 12)])
def test_all_convolutions_and_nothing_else(name, count):
  found = kernels.find(shapes(name, head=False))
  assert len(found) == count
  assert all(len(x.shape) == 4 for x in found.values())


def test_heads_are_found_too():
  assert len(kernels.find(shapes('resnet20'))) == 19 + 2 + 1


@pytest.mark.parametrize('name, stem', [
    ('resnet20', [('encoder', 'stem', 'conv1', 'kernel')]),
    ('nin', [('encoder', 'block1', 'conv1', 'kernel')])])
def test_stem_and_head_stay_dense(name, stem):
  params = shapes(name)
  every = kernels.prunable(params, dense_stem=False, dense_head=False)
  assert every.keys() == kernels.find(params).keys()
  assert list(every.keys() - kernels.prunable(
      params, dense_stem=True, dense_head=False).keys()) == stem
  heads = every.keys() - kernels.prunable(
      params, dense_stem=False, dense_head=True).keys()
  assert heads == {path for path in every if path[0] != 'encoder'} and len(heads) == 3
  assert CHOSEN(params).keys() == every.keys() - heads - set(stem)


def test_narrow_layers_are_no_stem():
  """A quarter of the width makes layers of 4 channels, and an eighth of 2."""
  assert len(CHOSEN(shapes('resnet20', width=0.125))) == 18


def test_a_fine_tuned_encoder_is_recognised():
  params = shapes('resnet20')
  deeper = {'network': {'network': params}, 'head': {'dense': params['head']['dense']}}
  assert CHOSEN(deeper).keys() == {
      ('network', 'network', *path) for path in CHOSEN(params)}


def test_replace():
  params = {'conv': {'kernel': 1}, 'bn': {'scale': 2}}
  assert kernels.replace(params, {('conv', 'kernel'): 3}) == {
      'conv': {'kernel': 3}, 'bn': {'scale': 2}}
  with pytest.raises(KeyError, match='no such parameters'):
    kernels.replace(params, {('conv', 'bias'): 3})
