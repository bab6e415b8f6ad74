"""BYOL: a network predicts the projection of the other view by its moving average.

The method is from Grill et al. 2020, arXiv:2006.07733, section 3. As in the paper's
code, the target network also normalises by the batch and has running statistics of its
own. The paper's code normalises each view separately; here both views are one batch.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import alignment


@dataclasses.dataclass(frozen=True)
class BYOL(base.Base):
  """Regresses onto projections of a target network, a moving average of the weights.

  `Variables.non_trainable` holds the encoder and projector of the target network as
  {'params', 'batch_stats'}.
  """
  tau: float = config_lib.field(
      0.996, low=0, high=1, doc='Decay of the moving average that is the target '
      'network; it starts here and rises to 1 along a cosine')

  num_crops: ClassVar[int] = 2

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    projector = spec.projector(dtype=dtype)
    predictor = spec.predictor(projector.dim, dtype=dtype)
    return {'projector': projector, 'predictor': predictor}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    return _with_target(super().init(key, image_shape))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Returns the variables of a trained network, which is also the first target."""
    return _with_target(super().with_pretrained(variables, encoder))

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the symmetric regression loss; the metric is 'embedding_spread'."""
    del labels
    online, model_state = self.forward(params, variables.model_state, views)
    target = variables.non_trainable
    targets, batch_stats = self.forward(target['params'], target['batch_stats'], views,
                                        network=self.network.clone(predictor=None))
    loss = alignment.normalized_regression(online['prediction'], targets['projection'])
    metrics = {'embedding_spread': alignment.spread(online['projection'])}
    return loss, base.LossOutput(model_state, metrics, online,
                                 {**target, 'batch_stats': batch_stats})

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    keep = 1 - (1 - self.tau) * (jnp.cos(jnp.pi * progress) + 1) / 2
    target = variables.non_trainable
    params = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new,
                          target['params'], _without_predictor(variables.params))
    return variables.replace(non_trainable={**target, 'params': params})


def _with_target(variables: base.Variables) -> base.Variables:
  """Returns the variables with a copy of the online network as target network."""
  return variables.replace(non_trainable=jax.tree.map(jnp.copy, {
      'params': _without_predictor(variables.params),
      'batch_stats': _without_predictor(variables.model_state)}))


def _without_predictor(tree: base.Tree) -> base.Tree:
  return {name: part for name, part in tree.items() if name != 'predictor'}
