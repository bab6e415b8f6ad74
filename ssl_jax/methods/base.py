"""The contract of a method, and the base class with what most methods share.

The training step (train/step.py) calls `views`, `loss` and `after_update`, in that
order, inside one jitted function over the whole global batch. A method therefore
never mentions devices, optimizers or data sets. docs/adding_a_method.md builds one
step by step.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from ssl_jax.augment import policies, views
from ssl_jax.methods import chunks
from ssl_jax.methods.network import Network

Tree = Any
# 'image' uint8 [B, H, W, C]; where images lie in the top left of a canvas, their true
# heights and widths in 'valid_size', int32 [B, 2].
Batch = Mapping[str, jax.Array]


@flax.struct.dataclass
class Variables:
  """Holds all that a method learns or carries from step to step.

  Attributes:
    params: what the optimizer trains.
    model_state: running batch statistics of the trained network.
    non_trainable: whatever else the method keeps, or None: a frozen encoder, a
      target network with its own batch statistics, a queue. `loss` may return it
      changed (LossOutput), and `after_update` may change it.
  """
  params: Tree
  model_state: Tree
  non_trainable: Tree = None


@flax.struct.dataclass
class LossOutput:
  """Holds what a loss returns beside its value.

  Attributes:
    model_state: the new `Variables.model_state`.
    metrics: float32 scalars by name, for the log.
    endpoints: feature maps [B*V, ...] by name, rows i*V + v, for the online probe. V
      need not be that of all views: of several sizes, those of one will do.
    non_trainable: the new `Variables.non_trainable`; None leaves it as it is.
  """
  model_state: Tree
  metrics: Mapping[str, jax.Array]
  endpoints: Mapping[str, jax.Array]
  non_trainable: Tree = None


class Method(Protocol):
  """A pretext task. Views of one image are adjacent rows: row i*V + v."""

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    """Draws fresh variables for images [H, W, C]."""

  def views(self, key: jax.Array, batch: Batch) -> Tree:
    """Makes views, float [B*V, h, w, C], or whatever else `loss` takes.

    All randomness is here: a pretext task that draws its own labels returns them
    beside the views. Views of several sizes are a list of arrays, one per size.
    """

  def loss(self, params: Tree, variables: Variables, views: Tree,
           labels: jax.Array) -> tuple[jax.Array, LossOutput]:
    """Computes a scalar loss and its output.

    Args:
      params: those to differentiate with respect to; use them in place of
        `variables.params`, which are equal.
      variables: all variables before the step.
      views: as `views` returned them.
      labels: int32 [B], -1 where an image has none.
    """

  def after_update(self, variables: Variables, progress: jax.Array) -> Variables:
    """Changes what the method itself moves, after the optimizer's update.

    Args:
      variables: with the new parameters and what the loss returned.
      progress: the fraction of training that is done, this update included;
        float32 in (0, 1], 1 after the last update.
    """

  def encoder_variables(self, variables: Variables) -> Tree:
    """Returns the part worth keeping: variables that `encode` accepts."""

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Returns every endpoint [B, ...] of the images, without randomness."""


@dataclasses.dataclass(frozen=True)
class Base:
  """Implements the contract but for `loss`: one network, views by augmentation.

  Attributes:
    network: the encoder with the modules that `build_heads` returned.
    policies: the augmentation of each crop, `num_crops` of them.
    preprocess: how images are shown to `encode`; it draws nothing.
    dtype: of the views and the computation.
    grad_cache_chunks: parts that a batch passes the network in, see
      chunks.forward; config.train.grad_cache_chunks.
  """
  network: Network
  policies: tuple[policies.Policy, ...]
  preprocess: policies.Policy
  dtype: Any
  grad_cache_chunks: int = 1

  # How many augmented crops of an image are made. None: as many as
  # config.augment.views names, of which there must then be some.
  num_crops: ClassVar[int | None] = 1
  # The least number of images that the loss compares with each other.
  min_images: ClassVar[int] = 1

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    """Builds what stands on the encoder.

    Args:
      spec: the parsed config of the run, see `methods.Spec`: `spec.projector` and
        `spec.predictor` are builders that need only what is missing.
      num_classes: of the data, 0 where they have no labels.
      dtype: of the computation.

    Returns:
      Fields of `Network`: any of 'projector', 'predictor' and 'head'.
    """
    del spec, num_classes, dtype
    return {}

  @property
  def views_per_image(self) -> int:
    """V, of the rows i*V + v that `views` makes, over all sizes."""
    return len(self.policies)

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    images = jnp.zeros((1, *image_shape), jnp.uint8)
    view = self._preprocessed({'image': images})
    variables = self.network.init(key, view, train=False)
    return Variables(variables['params'], variables.get('batch_stats', {}))

  def views(self, key: jax.Array, batch: Batch) -> Tree:
    return views.make(self.policies, key, batch['image'], self.dtype,
                      batch.get('valid_size'))

  def forward(self, params: Tree, model_state: Tree, views: Tree,
              network: nn.Module | None = None) -> tuple[Any, Tree]:
    """Runs the network in training mode, where BatchNorm normalises by the batch.

    Args:
      params: of the network.
      model_state: its running batch statistics.
      views: float [B*V, h, w, C], or a list of such arrays, one per size. Each size
        passes as one batch.
      network: another one than `self.network`, such as a target without predictor.

    Returns:
      The endpoints {name: [B*V, ...]}, or a list of them, one per size, and the new
      statistics, which each size moves in turn.

    Raises:
      errors.UserError: `grad_cache_chunks` or the encoder's `bn_groups` does not divide
        the images.
    """
    network = self.network if network is None else network
    sizes = views if isinstance(views, list | tuple) else [views]
    images = sum(map(len, sizes)) // self.views_per_image
    outputs = []
    for size in sizes:
      endpoints, model_state = chunks.forward(network, params, model_state, size,
                                              images, self.grad_cache_chunks)
      outputs.append(endpoints)
    return (outputs if sizes is views else outputs[0]), model_state

  def after_update(self, variables: Variables, progress: jax.Array) -> Variables:
    del progress
    return variables

  def with_pretrained(self, variables: Variables, encoder: Tree) -> Variables:
    """Puts in what `encoder_variables` of a trained network returned."""
    return variables.replace(params=encoder['params'],
                             model_state=encoder['batch_stats'])

  def frozen(self, variables: Variables) -> Tree:
    """Returns the variables that no update changes and no loss depends on: none."""
    del variables
    return {}

  def encoder_variables(self, variables: Variables) -> Tree:
    return {'params': variables.params, 'batch_stats': variables.model_state}

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Returns every endpoint [B, ...] of the images, in evaluation mode."""
    return self.network.apply(encoder, self._preprocessed(batch), train=False)

  def _preprocessed(self, batch: Batch) -> jax.Array:
    key = jax.random.key(0)  # `preprocess` draws nothing
    return views.make((self.preprocess,), key, batch['image'], self.dtype,
                      batch.get('valid_size'))
