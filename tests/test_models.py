"""Tests encoders and heads by their names."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from ssl_jax import errors, models


@pytest.mark.parametrize('name', models.MODELS)
def test_every_encoder_has_a_vector_for_an_image(name):
  module = models.build(name, dtype=jnp.bfloat16)
  images = jnp.zeros((2, 32, 32, 3))
  shapes = jax.eval_shape(
      lambda key: module.init_with_output(key, images, train=False)[0],
      jax.random.key(0))
  assert shapes['pooled'].ndim == 2 and shapes['pooled'].shape[0] == 2
  assert len(shapes) > 2  # including intermediate maps


@pytest.mark.parametrize('name', models.HEADS)
def test_every_head_is_a_module(name):
  assert isinstance(models.build_head(name, 7), nn.Module)


@pytest.mark.parametrize('build, sentence', [
    (lambda: models.build('resnet81'), "config.model.name is 'resnet81'.*did you mean"),
    (lambda: models.build('resnet8', widht=1), "did you mean 'width'"),
    (lambda: models.build_projector(layer=3), "did you mean 'layers'"),
    (lambda: models.build_head('liner', 7), "config.head.name is 'liner'.*'linear'"),
])
def test_mistakes_are_explained(build, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    build()
