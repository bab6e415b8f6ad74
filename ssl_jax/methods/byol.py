"""BYOL: a network predicts the projection of the other view by its moving average.

The method is from Grill et al. 2020, arXiv:2006.07733, section 3. As in the paper's
code, the target network also normalises by the batch and has running statistics of its
own. The paper's code normalises each view separately; here both views are one batch.
"""

import dataclasses

import jax

from ssl_jax.methods import base, target
from ssl_jax.objectives import alignment


@dataclasses.dataclass(frozen=True)
class BYOL(target.TargetMethod):
  """Regresses onto projections of a target network, a moving average of the weights."""

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the symmetric regression loss; the metric is 'embedding_spread'."""
    del labels
    online, model_state = self.forward(params, variables.model_state, views)
    targets, state = self.project(variables.non_trainable, views)
    loss = alignment.normalized_regression(online['prediction'], targets)
    metrics = {'embedding_spread': alignment.spread(online['projection'])}
    return loss, base.LossOutput(model_state, metrics, online, state)
