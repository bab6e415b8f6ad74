"""Builds encoders and heads by name from the fields of a config.

An encoder maps images to feature maps by name, and does not depend on the task.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import heads, nin, resnet, vit

# The keyword-only arguments of a builder, except `dtype`, are its config fields.
MODELS: dict[str, Callable[..., nn.Module]] = {
    'resnet18': functools.partial(resnet.build, (2, 2, 2, 2), False),
    'resnet34': functools.partial(resnet.build, (3, 4, 6, 3), False),
    'resnet50': functools.partial(resnet.build, (3, 4, 6, 3), True),
    'resnet101': functools.partial(resnet.build, (3, 4, 23, 3), True),
    'resnet152': functools.partial(resnet.build, (3, 8, 36, 3), True),
    'resnet200': functools.partial(resnet.build, (3, 24, 36, 3), True),
    'resnet8': functools.partial(resnet.build_cifar, 1),
    'resnet14': functools.partial(resnet.build_cifar, 2),
    'resnet20': functools.partial(resnet.build_cifar, 3),
    'resnet32': functools.partial(resnet.build_cifar, 5),
    'resnet44': functools.partial(resnet.build_cifar, 7),
    'resnet56': functools.partial(resnet.build_cifar, 9),
    'nin': nin.build,
    'vit_tiny': functools.partial(vit.build, 192, heads=3),
    'vit_small': functools.partial(vit.build, 384, heads=6),
    'vit_base': functools.partial(vit.build, 768, heads=12),
}
# Builders of classifiers. Their positional argument is the number of classes; their
# keyword-only arguments, except `dtype`, are their config fields.
HEADS: dict[str, Callable[..., nn.Module]] = {
    'linear': heads.build_linear,
    'mlp': heads.build_mlp,
    'conv_block': heads.build_conv_block,
}


def build(name: str, *, dtype: Any = jnp.float32, **fields: Any) -> nn.Module:
  """Returns the encoder `name`; call it as `module.apply(v, images, train=...)`.

  Args:
    name: a key of `MODELS`.
    dtype: type of the computation. Parameters and statistics are always float32.
    **fields: fields of the builder, for example `width`, `stem`, `shortcut`.

  Raises:
    errors.UserError: the name, a field or a value is not accepted.
  """
  builder = errors.lookup('config.model.name', name, MODELS)
  return config.build(builder, fields, 'model', dtype=dtype)


def frozen(encoder: nn.Module) -> tuple[str, ...]:
  """Returns the names of modules and parameters that pre-training does not change.

  An encoder that has some names them in its attribute `frozen`.
  """
  return getattr(encoder, 'frozen', ())


def build_projector(*, dtype: Any = jnp.float32,
                    **fields: Any) -> heads.ProjectionHead:
  """Returns a projection head.

  Args:
    dtype: type of the matrix products.
    **fields: fields of `heads.build_projector`, for example `layers`, `hidden`.

  Raises:
    errors.UserError: a field or a value is not accepted.
  """
  return config.build(heads.build_projector, fields, 'projector', dtype=dtype)


def build_predictor(dim: int, /, *, dtype: Any = jnp.float32,
                    **fields: Any) -> heads.ProjectionHead:
  """Returns a predictor, whose input is the output of a projection head.

  Args:
    dim: width of the projections and of the predictions.
    dtype: type of the matrix products.
    **fields: fields of `heads.build_predictor`, for example `layers`, `hidden`.

  Raises:
    errors.UserError: a field or a value is not accepted.
  """
  return config.build(functools.partial(heads.build_predictor, dim), fields,
                      'predictor', dtype=dtype)


def build_head(name: str, num_classes: int, *, dtype: Any = jnp.float32,
               **fields: Any) -> nn.Module:
  """Returns a classifier; call it as `module.apply(v, features, train=...)`.

  Args:
    name: a key of `HEADS`.
    num_classes: number of logits.
    dtype: type of the computation. Logits, parameters and statistics are always
      float32.
    **fields: fields of the builder, for example `hidden` of 'mlp'.

  Raises:
    errors.UserError: the name, a field or a value is not accepted.
  """
  builder = errors.lookup('config.head.name', name, HEADS)
  return config.build(functools.partial(builder, num_classes), fields, 'head',
                      dtype=dtype)
