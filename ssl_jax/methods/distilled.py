"""A method whose encoder also imitates the features that it had before the training.

Weights that remain after pruning thereby learn from every view what the whole encoder
knew of it. No labels are needed.
"""

import dataclasses

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.methods import around, base
from ssl_jax.objectives import alignment


@dataclasses.dataclass(frozen=True)
class Distilled(around.Around):
  """Adds the distance to the features of a teacher to the loss of another method.

  The teacher is the encoder with which the training starts. It encodes the same views
  in evaluation mode, and never changes. `Variables.non_trainable` has its variables in
  'teacher', and those of the other method in 'inner'.

  Attributes:
    weight: the factor of the distance; that of the other loss is 1.
  """
  weight: float

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    """Draws the variables of the other method; the teacher equals its encoder.

    Args:
      key: the random key.
      image_shape: [H, W, C] of an image.
    """
    return self._with_teacher(self.inner.init(key, image_shape))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Puts in a trained network, whose encoder is also the teacher.

    Args:
      variables: the result of `init`.
      encoder: the result of `encoder_variables` of a network of the same form.
    """
    return self._with_teacher(self.inner.with_pretrained(
        self.inner_variables(variables), encoder))

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the sum of both losses; the metric 'distillation' is the distance.

    Args:
      params: parameters by which the loss is differentiated.
      variables: all variables before the step.
      views: the result of the method `views`.
      labels: int32 [B], -1 where an image has none.

    Raises:
      errors.UserError: `views` is not one array.
    """
    if not isinstance(views, jax.Array):
      raise errors.UserError(
          f'config.compression.distillation is {self.weight:g}, but this method has '
          'views of several sizes or further inputs, which a teacher cannot encode; '
          'set --config.compression.distillation=0')
    inner = self.inner_variables(variables)
    loss, output = self.inner.loss(params, inner, views, labels)
    teacher = variables.non_trainable['teacher']
    targets = self.network.clone(projector=None, predictor=None, head=None).apply(
        teacher, views, train=False)['pooled']
    distance = alignment.squared_distance(output.endpoints['pooled'], targets)
    state = inner.non_trainable if output.non_trainable is None else (
        output.non_trainable)
    return loss + self.weight * distance, output.replace(
        metrics={**output.metrics, 'distillation': distance},
        non_trainable={'inner': state, 'teacher': teacher})

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    """Updates the other method.

    Args:
      variables: with the new parameters and what the loss returned.
      progress: the fraction of training that is done, a float32 scalar.
    """
    inner = self.inner.after_update(self.inner_variables(variables), progress)
    return inner.replace(non_trainable={**variables.non_trainable,
                                        'inner': inner.non_trainable})

  def _with_teacher(self, inner: base.Variables) -> base.Variables:
    encoder = {collection: {'encoder': tree['encoder']}
               for collection, tree in (('params', inner.params),
                                        ('batch_stats', inner.model_state))}
    return inner.replace(non_trainable={
        'inner': inner.non_trainable,
        'teacher': jax.tree.map(jnp.copy, encoder)})  # the loop donates its state
