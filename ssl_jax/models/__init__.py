"""Encoders and heads by name, from the fields of a config.

Encoders map images to named feature maps and know no task.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import heads, nin, resnet

# A builder's keyword-only arguments, save `dtype`, are the fields of its config.
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
}
# Likewise, of the probes; the one other argument is the number of classes.
HEADS: dict[str, Callable[..., nn.Module]] = {
    'linear': heads.build_linear,
    'mlp': heads.build_mlp,
    'conv_block': heads.build_conv_block,
}


def build(name: str, *, dtype: Any = jnp.float32, **fields: Any) -> nn.Module:
  """Returns the encoder `name`; call it as `module.apply(v, images, train=...)`.

  Args:
    name: a key of `MODELS`.
    dtype: of the computation; parameters and statistics are float32 regardless.
    **fields: the builder's own, for example `width`, `stem`, `shortcut`.

  Raises:
    errors.UserError: the name, a field or a value is not accepted.
  """
  builder = errors.lookup('config.model.name', name, MODELS)
  return config.build(builder, fields, 'model', dtype=dtype)


def build_projector(*, dtype: Any = jnp.float32,
                    **fields: Any) -> heads.ProjectionHead:
  """Returns the projection head; `fields` are those of `heads.ProjectionHead`.

  Raises:
    errors.UserError: a field or a value is not accepted.
  """
  return config.build(heads.build_projector, fields, 'projector', dtype=dtype)


def build_predictor(dim: int, /, *, dtype: Any = jnp.float32,
                    **fields: Any) -> heads.ProjectionHead:
  """Returns the predictor that stands on a projection head.

  Args:
    dim: of the projections and the predictions.
    dtype: of the matrix products.
    **fields: those of `heads.build_predictor`.

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
    num_classes: of the logits.
    dtype: of the computation; logits, parameters and statistics are float32.
    **fields: the builder's own.

  Raises:
    errors.UserError: the name, a field or a value is not accepted.
  """
  builder = errors.lookup('config.head.name', name, HEADS)
  return config.build(functools.partial(builder, num_classes), fields, 'head',
                      dtype=dtype)
