"""Defines the interface of a method, and a base class that implements most of it.

The training step (train/step.py) calls `views`, `loss` and `after_update`, in that
order, inside one jitted function over the whole global batch. A method therefore
never mentions devices, optimizers or data sets. docs/adding_a_method.md writes a
method step by step.
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
# 'image' is uint8 [B, H, W, C]. If images are placed at the top left of a canvas,
# 'valid_size', int32 [B, 2], holds their true heights and widths.
Batch = Mapping[str, jax.Array]


@flax.struct.dataclass
class Variables:
  """Holds everything that a method learns or carries from step to step.

  Attributes:
    params: the parameters that the optimizer trains.
    model_state: the running batch statistics of the trained network.
    non_trainable: all other arrays of the method, such as a frozen encoder, a queue, or
      a target network with its own batch statistics. None if the method has no others.
      `loss` may return new ones (`LossOutput`), and `after_update` may change them.
  """
  params: Tree
  model_state: Tree
  non_trainable: Tree = None


@flax.struct.dataclass
class LossOutput:
  """Holds what a loss returns in addition to its value.

  Attributes:
    model_state: the new `Variables.model_state`.
    metrics: float32 scalars by name, for the log.
    endpoints: feature maps [B*V, ...] by name, for the online probe. Row i*V + v is
      view v of image i. If views have several sizes, those of one size suffice; V is
      then their number.
    non_trainable: the new `Variables.non_trainable`; None keeps the old one.
  """
  model_state: Tree
  metrics: Mapping[str, jax.Array]
  endpoints: Mapping[str, jax.Array]
  non_trainable: Tree = None


class Method(Protocol):
  """The interface of a method, a pretext task. Row i*V + v is view v of image i."""

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    """Draws the initial variables for images [H, W, C]."""

  def views(self, key: jax.Array, batch: Batch) -> Tree:
    """Makes views, float [B*V, h, w, C], or another input of `loss`.

    Only this function draws random numbers. A pretext task that draws its own labels
    returns them together with the views. Views of several sizes are a list of arrays,
    one per size.
    """

  def loss(self, params: Tree, variables: Variables, views: Tree,
           labels: jax.Array) -> tuple[jax.Array, LossOutput]:
    """Computes a scalar loss, and returns it with a `LossOutput`.

    Args:
      params: the parameters that the loss is differentiated by. They equal
        `variables.params`, which must not be used in their place.
      variables: all variables before the step.
      views: the result of the method `views`.
      labels: int32 [B]; -1 marks an image without a label.
    """

  def after_update(self, variables: Variables, progress: jax.Array) -> Variables:
    """Changes variables that the optimizer does not train, after its update.

    Args:
      variables: the variables with the new parameters and the arrays that the loss
        returned.
      progress: the fraction of training that is done, including this update; float32
        in (0, 1], and 1 after the last update.
    """

  def encoder_variables(self, variables: Variables) -> Tree:
    """Returns the variables that `encode` takes, which evaluations use."""

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Returns all endpoints [B, ...] of the images, without randomness."""


@dataclasses.dataclass(frozen=True)
class Base:
  """Implements all of `Method` except `loss`: one network, views by augmentation.

  Attributes:
    network: the encoder with the modules that `build_heads` returned.
    policies: one augmentation policy for each crop of an image.
    preprocess: the policy of images for `encode`; it draws no random numbers.
    dtype: dtype of the views and of the computation.
    grad_cache_chunks: number of chunks in which a batch passes through the network;
      see `chunks.forward`. It is config.train.grad_cache_chunks.
  """
  network: Network
  policies: tuple[policies.Policy, ...]
  preprocess: policies.Policy
  dtype: Any
  grad_cache_chunks: int = 1

  # The number of augmented crops of an image. None means as many as
  # config.augment.views names, which must then be set.
  num_crops: ClassVar[int | None] = 1
  # The least number of images that the loss compares with each other.
  min_images: ClassVar[int] = 1

  @classmethod
  def crops(cls, fields: Mapping[str, Any]) -> int | None:
    """Returns the number of crops; a method overrides it if a field decides.

    Args:
      fields: the fields of the section `method` that the config sets.
    """
    del fields
    return cls.num_crops

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    """Builds the heads of the encoder.

    Args:
      spec: the parsed config of the run; see `methods.Spec`. `spec.projector` and
        `spec.predictor` are builders that already hold the fields of the config.
      num_classes: number of classes of the data; 0 if they have no labels.
      dtype: dtype of the computation.

    Returns:
      Modules by field of `Network`: any of 'projector', 'predictor' and 'head'.
    """
    del spec, num_classes, dtype
    return {}

  @property
  def views_per_image(self) -> int:
    """V, the number of views of an image, over all sizes."""
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
      params: parameters of the network.
      model_state: running batch statistics of the network.
      views: float [B*V, h, w, C], or a list of such arrays, one per size. The views of
        one size are one batch.
      network: the network, such as a target network without predictor; None is
        `self.network`.

    Returns:
      The endpoints {name: [B*V, ...]}, or a list of them, one per size; and the new
      statistics, which are updated once per size.

    Raises:
      errors.UserError: `grad_cache_chunks` or the encoder's `bn_groups` does not divide
        the number of images.
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
    """Returns the variables with those of a trained network in their place.

    Args:
      variables: the result of `init`.
      encoder: the result of `encoder_variables` of a network of the same form.
    """
    return variables.replace(params=encoder['params'],
                             model_state=encoder['batch_stats'])

  def frozen(self, variables: Variables) -> Tree:
    """Returns the variables that no update changes and no loss depends on: none."""
    del variables
    return {}

  def encoder_variables(self, variables: Variables) -> Tree:
    return {'params': variables.params, 'batch_stats': variables.model_state}

  def encode(self, encoder: Tree, batch: Batch) -> dict[str, jax.Array]:
    """Returns all endpoints [B, ...] of the images, in evaluation mode."""
    return self.network.apply(encoder, self._preprocessed(batch), train=False)

  def _preprocessed(self, batch: Batch) -> jax.Array:
    key = jax.random.key(0)  # not used: `preprocess` draws no random numbers
    return views.make((self.preprocess,), key, batch['image'], self.dtype,
                      batch.get('valid_size'))
