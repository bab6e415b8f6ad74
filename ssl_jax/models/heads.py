"""Defines the heads of an encoder: projection head, predictor, classifiers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import layers, nin

# The initialisation of He et al. 2015, arXiv:1502.01852, which keeps the variance of
# gradients in the backward pass: variance 2/fan_out.
HE_FAN_OUT = nn.initializers.variance_scaling(2., 'fan_out', 'normal')


# The layers that may follow the last matrix product of a normalised projection head.
LAST_LAYERS = {
    'bn_scale': 'BatchNorm with a scale and no shift (SimCLR)',
    'bn': 'BatchNorm without parameters (the projector of SimSiam)',
    'bias': 'a bias (the predictor of SimSiam)',
    'none': 'nothing (BYOL)',
}


class ProjectionHead(nn.Module):
  """Projection head, the g of SimCLR: features h [B, D] -> embeddings z [B, dim].

  The head has dense layers with ReLU between them (Chen et al. 2020,
  arXiv:2002.05709, section 4.2). With `batch_norm`, hidden layers are normalised and
  have no bias of their own, as in google-research/simclr, and `last_layer` selects the
  layer after the last product. Statistics are always those of the whole batch, even if
  the encoder has `bn_groups`: a layer exchanges only two vectors.

  It returns a dictionary of float32 arrays: 'projection0' (h), 'projection1', ...,
  'projection{layers}' (z), and 'projection' (again z). Hidden layers are returned
  after their ReLU, because SimCLR v2 fine-tunes from there.

  Attributes:
    layers: number of dense layers. With 0, z is h; with 1, the head is linear; with
      2 or more, it is nonlinear.
    hidden: width of the hidden layers; None is the width of h.
    dim: width of z.
    batch_norm: whether hidden layers are normalised; otherwise every layer has a bias.
    last_layer: a key of `LAST_LAYERS`; it has an effect only with `batch_norm`.
    dtype: type of the matrix products.
    endpoint: prefix of the names of the results; 'prediction' for a predictor.
  """
  layers: int = 2
  hidden: int | None = None
  dim: int = 128
  batch_norm: bool = True
  last_layer: str = 'bn_scale'
  dtype: Any = jnp.float32
  endpoint: str = 'projection'

  @nn.compact
  def __call__(self, h: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    last_layer = self.last_layer if self.batch_norm else 'bias'
    # If z is not normalised, weights from N(0, 0.01) would make it so small that noise
    # dominates it. Weights then scale with the fan-in, as in other implementations.
    kernel_init = (nn.initializers.normal(0.01) if last_layer == 'bn_scale'
                   else nn.initializers.lecun_normal())
    x = h.astype(jnp.float32)
    endpoints = {f'{self.endpoint}0': x}
    for i in range(1, self.layers + 1):
      last = i == self.layers
      features = self.dim if last else self.hidden or h.shape[-1]
      bias = last_layer == 'bias' if last else not self.batch_norm
      x = layers.dense(features, use_bias=bias, dtype=self.dtype,
                       kernel_init=kernel_init, name=f'dense{i}')(x)
      if last_layer.startswith('bn') if last else self.batch_norm:
        x = layers.batch_norm(
            train=train, dtype=jnp.float32, use_bias=not last,
            use_scale=not last or last_layer == 'bn_scale', name=f'bn{i}')(x)
      if not last:
        x = nn.relu(x)
      endpoints[f'{self.endpoint}{i}'] = x.astype(jnp.float32)
    return endpoints | {self.endpoint: endpoints[f'{self.endpoint}{self.layers}']}


class Prototypes(nn.Module):
  """Compares embeddings [B, D] with prototypes: {'prediction': cosines [B, number]}.

  The prototypes are the columns of `kernel`, which are drawn with unit length (SwAV,
  Caron et al. 2020, arXiv:2006.09882, section 3.1).
  """
  number: int

  @nn.compact
  def __call__(self, z: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    del train
    kernel = self.param('kernel', _unit_columns, (z.shape[-1], self.number))
    return {'prediction': prototype_scores(z, kernel)}


def prototype_scores(z: jax.Array, kernel: jax.Array) -> jax.Array:
  """Returns the products of unit embeddings with prototypes, float32 [B, K].

  Args:
    z: embeddings, [B, D] of any float type, which are scaled to unit length.
    kernel: prototypes, float32 [D, K].
  """
  z = z.astype(jnp.float32)
  squared = jnp.square(z).sum(-1, keepdims=True)
  return jnp.matmul(z * jax.lax.rsqrt(jnp.maximum(squared, 1e-12)), kernel,
                    precision=jax.lax.Precision.HIGHEST)


def _unit_columns(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
  kernel = jax.random.normal(key, shape)
  return kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)


class LinearHead(nn.Module):
  """Linear classifier: features [B, D] -> logits float32 [B, num_classes].

  It computes in float32. Weights are initialised from N(0, 0.01) and biases with 0, as
  in google-research/simclr.
  """
  num_classes: int

  @nn.compact
  def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
    del train
    _require(features, 2, 'linear')
    return nn.Dense(
        self.num_classes, dtype=jnp.float32, name='dense',
        kernel_init=nn.initializers.normal(0.01))(features)


class MLPHead(nn.Module):
  """Classifier of three dense layers: features [B, D] -> logits [B, num_classes].

  This is RotNet's nonlinear classifier (Gidaris et al. 2018, arXiv:1803.07728, section
  4.1.1). The two hidden layers have BatchNorm and ReLU, and no bias. Logits are
  float32.
  """
  num_classes: int
  hidden: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
    _require(features, 2, 'mlp')
    x = features
    for i in (1, 2):
      x = layers.dense(self.hidden, dtype=self.dtype, kernel_init=HE_FAN_OUT,
                       name=f'dense{i}')(x)
      x = nn.relu(layers.batch_norm(
          train=train, dtype=jnp.float32, name=f'bn{i}')(x))
    return nn.Dense(self.num_classes, dtype=jnp.float32, kernel_init=HE_FAN_OUT,
                    name='dense3')(x)


class ConvBlockHead(nn.Module):
  """Convolutional classifier: feature map [B, h, w, c] -> logits [B, num_classes].

  This is RotNet's convolutional classifier (arXiv:1803.07728, table 3): one more NIN
  block, the mean over space, and a linear layer. Logits are float32.
  """
  num_classes: int
  width: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
    _require(features, 4, 'conv_block')
    plan = ((self.width, 3), (self.width, 1), (self.width, 1))
    x = nin.Block(plan, self.dtype, HE_FAN_OUT, name='block')(
        features.astype(self.dtype), train=train)
    x = jnp.mean(x, (1, 2), dtype=jnp.float32)
    return nn.Dense(self.num_classes, dtype=jnp.float32, kernel_init=HE_FAN_OUT,
                    name='dense')(x)


_MLP_RULES = {
    'layers': config.Rule('Number of dense layers; with 0 the output is the input, '
                          'with 2 or more the head is nonlinear', low=0),
    'hidden': config.Rule('Width of the hidden layers; None is the width of the input',
                          low=1),
    'batch_norm': config.Rule('Whether hidden layers are normalised; otherwise every '
                              'layer has a bias'),
    'last_layer': config.Rule(
        'The layer after the last matrix product: ' + '; '.join(
            f'{name} is {what}' for name, what in LAST_LAYERS.items()),
        choices=tuple(LAST_LAYERS))}


@config.parameters(**_MLP_RULES, dim=config.Rule('Width of the embeddings', low=1))
def build_projector(*, dtype: Any = jnp.float32, layers: int = 2,
                    hidden: int | None = None, dim: int = 128, batch_norm: bool = True,
                    last_layer: str = 'bn_scale') -> ProjectionHead:
  """Builds a `ProjectionHead`, whose attributes the arguments are.

  Args:
    dtype: type of the matrix products.
    layers: number of dense layers.
    hidden: width of the hidden layers; None is the width of the features.
    dim: width of the embeddings.
    batch_norm: whether hidden layers are normalised.
    last_layer: a key of `LAST_LAYERS`.

  Raises:
    errors.UserError: `last_layer` is 'bn' or 'none' without `batch_norm`.
  """
  _check_last_layer('projector', batch_norm, last_layer)
  return ProjectionHead(layers, hidden, dim, batch_norm, last_layer, dtype)


@config.parameters(**_MLP_RULES)
def build_predictor(dim: int, *, dtype: Any = jnp.float32, layers: int = 2,
                    hidden: int | None = None, batch_norm: bool = True,
                    last_layer: str = 'bias') -> ProjectionHead:
  """Builds a predictor: a `ProjectionHead` whose endpoints are called 'prediction'.

  Args:
    dim: width of the projections and of the predictions.
    dtype: type of the matrix products.
    layers: number of dense layers; with 0 the prediction is the projection.
    hidden: width of the hidden layers; None is `dim`.
    batch_norm: whether hidden layers are normalised.
    last_layer: a key of `LAST_LAYERS`.

  Raises:
    errors.UserError: `last_layer` is 'bn' or 'none' without `batch_norm`.
  """
  _check_last_layer('predictor', batch_norm, last_layer)
  return ProjectionHead(layers, hidden, dim, batch_norm, last_layer, dtype,
                        'prediction')


def _check_last_layer(section: str, batch_norm: bool, last_layer: str) -> None:
  if not batch_norm and last_layer in ('bn', 'none'):
    raise errors.UserError(
        f'config.{section}.last_layer is {last_layer!r}, but without batch_norm the '
        f'last layer has a bias; set config.{section}.batch_norm to True, or '
        f"config.{section}.last_layer to 'bias'")


def build_linear(num_classes: int, *, dtype: Any = jnp.float32) -> LinearHead:
  """Returns a `LinearHead`, which computes in float32 and ignores `dtype`."""
  del dtype
  return LinearHead(num_classes)


@config.parameters(hidden=config.Rule(
    'Width of the hidden layers; None is min(20 C, 2048) for C classes, as in RotNet',
    low=1))
def build_mlp(num_classes: int, *, dtype: Any = jnp.float32,
              hidden: int | None = None) -> MLPHead:
  """Returns an `MLPHead`.

  Args:
    num_classes: number C of logits.
    dtype: type of the computation.
    hidden: width of the hidden layers; None is min(20 C, 2048), as in RotNet.
  """
  return MLPHead(num_classes, hidden or min(20 * num_classes, 2048), dtype)


@config.parameters(width=config.Rule('Number of channels', low=1))
def build_conv_block(num_classes: int, *, dtype: Any = jnp.float32,
                     width: int = 192) -> ConvBlockHead:
  """Returns a `ConvBlockHead`.

  Args:
    num_classes: number of logits.
    dtype: type of the computation.
    width: number of channels.
  """
  return ConvBlockHead(num_classes, width, dtype)


def _require(features: jax.Array, ndim: int, name: str) -> None:
  """Raises `errors.UserError` if a head gets maps instead of vectors, or vice versa."""
  if features.ndim != ndim:
    needs = ("vectors; set config.features.pool to 'mean', 'max', 'flatten' or a "
             'number of regions' if ndim == 2 else
             "a feature map; set config.features.endpoint to the name of one, such as "
             "'block2', and config.features.pool to 'none'")
    raise errors.UserError(
        f'features have the shape {features.shape}, but '
        f'config.head.name={name!r} needs {needs}')
