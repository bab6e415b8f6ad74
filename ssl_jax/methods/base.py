"""What a method is: five pure functions over `Variables`.

The training step (train/step.py) calls `views`, `loss` and `after_update`, in
that order, inside one jitted function over the whole global batch. A method
therefore never mentions devices, axes, optimizers or data sets.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.augment import policies
from ssl_jax.models import conv
from ssl_jax.train import mesh as mesh_lib

Tree = Any
# 'image' uint8 [B, H, W, C]; where images lie in the top left of a canvas, their true
# heights and widths in 'extent', int32 [B, 2].
Batch = Mapping[str, jax.Array]


@flax.struct.dataclass
class Variables:
  """All that a method learns or carries from step to step."""
  params: Tree        # trained by the optimizer
  model_state: Tree   # batch statistics, written by the forward pass
  slow: Tree = None   # the method's own: a frozen encoder, a moving average


@flax.struct.dataclass
class Aux:
  """What a loss returns beside its value."""
  model_state: Tree
  metrics: Mapping[str, jax.Array]    # scalars
  endpoints: Mapping[str, jax.Array]  # [B*V, ...], for the online probe


class Method(Protocol):
  """A pretext task. Views of one image are adjacent rows: row i*V + v."""

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    """Fresh variables for images [H, W, C]."""

  def views(self, key: jax.Array, batch: Batch) -> Tree:
    """Images -> float [B*V, h, w, C], or what else `loss` needs of them.

    All randomness is here: a pretext task that draws its own labels returns
    them beside the views.
    """

  def loss(self, params: Tree, variables: Variables, views: Tree,
           labels: jax.Array) -> tuple[jax.Array, Aux]:
    """Scalar loss of `params`; `labels` int32 [B], -1 where there is none."""

  def after_update(self, variables: Variables, step: jax.Array) -> Variables:
    """Called with the updated variables; moves what is in `slow`."""

  def encoder(self, variables: Variables) -> Tree:
    """The part worth keeping: variables that `encode` accepts."""

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Images -> every endpoint [B, ...], without randomness."""


class Network(nn.Module):
  """An encoder and what stands on it; every named feature map is returned."""
  encoder: nn.Module
  projector: nn.Module | None = None
  head: nn.Module | None = None

  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """float [B, H, W, C] -> {'stem', 'stage1', ..., 'pooled', ...}."""
    endpoints = self.encoder(x, train=train)
    if self.projector is not None:
      endpoints |= self.projector(endpoints['pooled'], train=train)
    if self.head is not None:
      endpoints['logits'] = self.head(endpoints['pooled'], train=train)
    return endpoints


@dataclasses.dataclass(frozen=True)
class Base:
  """The parts that methods with one network and one optimizer share."""
  network: Network
  policies: tuple[policies.Policy, ...]  # one per view
  preprocess: policies.Policy            # of images that are only encoded
  dtype: Any                             # of the views and the computation
  encoder_chunks: int = 1                # see `forward`; config.train.encoder_chunks

  num_views: ClassVar[int] = 1
  min_images: ClassVar[int] = 1  # that pass through the network at once

  @staticmethod
  def heads(config: Mapping[str, Any], num_classes: int,
            dtype: Any) -> dict[str, nn.Module]:
    """What stands on the encoder: `projector`, `head` or nothing."""
    del config, num_classes, dtype
    return {}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    images = jnp.zeros((1, *image_shape), jnp.uint8)
    plain = self._plain({'image': images})
    variables = self.network.init(key, plain, train=False)
    return Variables(variables['params'], variables.get('batch_stats', {}))

  def views(self, key: jax.Array, batch: Batch) -> Tree:
    return policies.views(self.policies, key, batch['image'], self.dtype,
                          batch.get('extent'))

  @property
  def rows_per_image(self) -> int:
    """V, of the rows i*V + v that `views` makes."""
    return self.num_views

  def forward(self, params: Tree, variables: Variables,
              views: jax.Array) -> tuple[dict[str, jax.Array], Tree]:
    """A training-mode pass: endpoints and the new batch statistics.

    With `encoder_chunks` the network sees a part of the images at a time, and the
    backward pass computes each part again instead of keeping its activations: the
    memory of one part for a third more work (Gao et al. 2021, arXiv:2101.06983).
    The loss still sees all embeddings and its gradient is exact. Every device
    works on every part. BatchNorm, the projector's too, normalises by the part;
    running statistics move once, towards the mean over the parts, and so keep their
    pace per step. On the CPU, where gradients of convolutions are slow in a loop,
    parts are unrolled, and XLA's schedule then saves no memory.

    Raises:
      errors.UserError: `encoder_chunks` or the encoder's `bn_groups` does not divide
        the images.
    """
    _check_parts(len(views) // self.rows_per_image, self.encoder_chunks,
                 getattr(self.network.encoder, 'bn_groups', 1))
    run = functools.partial(_run, self.network, variables.model_state)
    if self.encoder_chunks == 1:
      return run(params, views)
    run = functools.partial(jax.checkpoint(run), params)
    # Image i is in chunk i % chunks: consecutive blocks would lie on other devices.
    parts = views.reshape(-1, self.encoder_chunks, self.rows_per_image,
                          *views.shape[1:]).swapaxes(0, 1)
    parts = parts.reshape(self.encoder_chunks, -1, *views.shape[1:])
    if conv.on_cpu():
      endpoints, model_state = jax.tree.map(
          lambda *x: jnp.stack(x), *map(run, parts))
    else:
      endpoints, model_state = jax.lax.map(run, parts)
    return (jax.tree.map(functools.partial(_in_order, self.rows_per_image), endpoints),
            jax.tree.map(lambda x: x.mean(0), model_state))

  def after_update(self, variables: Variables, step: jax.Array) -> Variables:
    del step
    return variables

  def encoder(self, variables: Variables) -> Tree:
    return {'params': variables.params, 'batch_stats': variables.model_state}

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Images -> every endpoint, in evaluation mode."""
    return self.network.apply(encoder, self._plain(batch), train=False)

  def _plain(self, batch):
    """The one view of an image that is not augmented."""
    key = jax.random.key(0)  # `preprocess` draws nothing
    return policies.views((self.preprocess,), key, batch['image'], self.dtype,
                          batch.get('extent'))


def _run(network, model_state, params, views):
  endpoints, updated = network.apply(
      {'params': params, 'batch_stats': model_state}, views, train=True,
      mutable=['batch_stats'])
  return endpoints, updated.get('batch_stats', {})


def _in_order(rows_per_image, x):
  """[chunks, rows, ...] of `Base.forward` -> [B*V, ...]."""
  chunks, rest = len(x), x.shape[2:]
  x = x.reshape(chunks, -1, rows_per_image, *rest).swapaxes(0, 1)
  return x.reshape(-1, *rest)


def _check_parts(images: int, chunks: int, groups: int) -> None:
  devices = mesh_lib.devices()
  if chunks < 1 or chunks > 1 and images % (chunks * devices):
    raise errors.UserError(
        f'config.train.encoder_chunks is {chunks}; it must be positive, and the batch '
        f'of {images} images a multiple of it'
        + f' on each of {devices} devices' * (devices > 1))
  if groups < 1 or images // chunks % groups:
    raise errors.UserError(
        f'config.model.bn_groups is {groups}; it must be positive and divide the '
        f'{images // chunks} images that pass through the network at once')
