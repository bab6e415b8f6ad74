"""Trains a classifier on a pre-trained encoder, of which stages can be frozen.

If some stages of the encoder are trained, this is fine-tuning (Chen et al. 2020,
arXiv:2002.05709, appendix B.5). If none is, it is a probe, as in section 3 of that
paper ("a linear classifier is trained on top of the frozen base network"). Gidaris et
al. 2018, arXiv:1803.07728, section 4.1, use other heads too, on early feature maps.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from ssl_jax import errors
from ssl_jax.methods import base, freezing
from ssl_jax.models import layers, pooling
from ssl_jax.objectives import classification


class Classifier(nn.Module):
  """Adds a classifier to one endpoint of a network.

  Attributes:
    network: the pre-trained network; its own classifier, if any, is not used.
    head: the new classifier, see models.heads; called as `head(features, train=...)`.
    endpoint: name of the endpoint that is the input of the head.
    pool: pooling of the endpoint to a vector, see models.pooling; 'none' does not pool.
  """
  network: nn.Module
  head: nn.Module
  endpoint: str
  pool: str | int

  @property
  def encoder(self) -> nn.Module:
    return self.network.encoder

  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Maps images, float [B, H, W, C], to all endpoints and the head's 'logits'."""
    endpoints = self.network(x, train=train)
    endpoints = {k: v for k, v in endpoints.items() if k != 'logits'}
    x = errors.lookup('config.features.endpoint', self.endpoint, endpoints)
    x = x if self.pool == 'none' else pooling.pooled(x, self.pool)
    return endpoints | {'logits': self.head(x, train=train)}


@dataclasses.dataclass(frozen=True)
class FineTune(base.Base):
  """Trains a `Classifier` by softmax cross-entropy, from stage `freeze_until` on.

  A stage is a module directly in the encoder ('stem', 'stage1', 'block1'), the
  'projector', or the new 'head'; stages are ordered as they compute. Stages before
  `freeze_until` are frozen by construction. They are in `Variables.non_trainable`, not
  among the parameters, so they have no gradient, no optimizer state and no weight
  decay. Their modules run in evaluation mode, so their batch statistics do not change.
  (A stage must pass `train` on to its BatchNorm, as those of ssl_jax.models do.)
  Everything that the endpoint does not depend on does not change either: later blocks,
  the classifier of a pretext task, later projection layers.

  If the endpoint depends on layers of a projection head ('projection1'), they are
  trained like the encoder. The TF2 code of google-research/simclr does the same
  (`ft_proj_selector`); its TF1 code does not train them.

  `init` draws all variables at random; `with_pretrained` inserts the pre-trained ones.

  Attributes:
    network: a `Classifier`.
    freeze_until: the first stage that is trained. None trains all stages; 'head' trains
      only the head.
    bn_momentum: the fraction of its old value that a running statistic keeps at each
      step; None keeps the momentum of the layers.
  """
  freeze_until: str | None = None
  bn_momentum: float | None = None

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    """Draws the initial variables for images [H, W, C].

    Raises:
      errors.UserError: the network lacks the endpoint or the stage, or the head does
        not fit the endpoint.
    """
    whole = self._init_whole(key, image_shape)
    return _split(whole, self._trained(self._used(whole, image_shape)))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Returns the variables with those of the pre-trained network in their place.

    Args:
      variables: the result of `init`.
      encoder: the result of `encoder_variables` of the pre-training method.
    """
    whole = {collection: {**tree, 'network': encoder.get(collection, {})}
             for collection, tree in self.encoder_variables(variables).items()}
    live = {'params': variables.params, 'batch_stats': variables.model_state}
    return _split(whole, traverse_util.flatten_dict(live).keys())

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss of the labels; the metric is 'accuracy'."""
    whole = self.encoder_variables(variables.replace(params=params))
    frozen = (freezing.modules(variables.non_trainable.get('params', {}))
              - freezing.modules(params))
    with nn.intercept_methods(freezing.in_evaluation_mode(frozen)):
      endpoints, updated = self.forward(whole['params'], whole['batch_stats'], views)
    statistics = traverse_util.flatten_dict(updated)
    model_state = traverse_util.unflatten_dict(
        {path: statistics[path]
         for path in traverse_util.flatten_dict(variables.model_state)})
    if self.bn_momentum is not None:
      # A layer moves a statistic by 1 - MOMENTUM of its difference to the batch's. This
      # is linear, so that the change can be scaled afterwards.
      pace = (1 - self.bn_momentum) / (1 - layers.MOMENTUM)
      model_state = jax.tree.map(lambda old, new: old + pace * (new - old),
                                 variables.model_state, model_state)
    logits = endpoints['logits']
    metrics = {'accuracy': classification.accuracy(logits, labels)}
    loss = classification.softmax_cross_entropy(logits, labels)
    return loss, base.LossOutput(model_state, metrics, endpoints)

  def encoder_variables(self, variables: base.Variables) -> base.Tree:
    """Returns frozen and trained variables in one tree, as the network takes them."""
    live = {'params': variables.params, 'batch_stats': variables.model_state}
    whole = (traverse_util.flatten_dict(variables.non_trainable)
             | traverse_util.flatten_dict(live))
    return {'batch_stats': {}} | traverse_util.unflatten_dict(whole)

  def frozen(self, variables: base.Variables) -> base.Tree:
    """Returns the variables of frozen stages, and those that the loss ignores."""
    return variables.non_trainable

  def stages(self, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Returns the stages that the logits depend on, in order; 'head' is the last.

    Raises:
      errors.UserError: the network lacks the endpoint or the stage, or the head does
        not fit the endpoint.
    """
    whole = jax.eval_shape(lambda key: self._init_whole(key, image_shape),
                           jax.random.key(0))
    used = self._used(whole, image_shape)
    self._trained(used)
    return _stages(used)

  def _init_whole(self, key, image_shape):
    return base.Base.encoder_variables(self, super().init(key, image_shape))

  def _used(self, whole, image_shape) -> list[freezing.Path]:
    """Returns the paths (collection, ...) that the logits depend on, in order."""
    batch = {'image': jnp.zeros((1, *image_shape), jnp.uint8)}
    return freezing.in_order_of_use(lambda v: self.encode(v, batch)['logits'], whole)

  def _trained(self, used: list[freezing.Path]) -> set[freezing.Path]:
    """Returns the paths that are not frozen."""
    stages = _stages(used)
    first = stages[0] if self.freeze_until is None else self.freeze_until
    if first not in stages:
      raise errors.UserError(
          f'config.freeze_until is {first!r}; accepted are None, to train everything, '
          f'and the stages that the endpoint {self.network.endpoint!r} of this network '
          f'depends on: {", ".join(stages)}{errors.suggestion(first, stages)}')
    live = stages[stages.index(first):]
    return {path for path in used if stage(path[1:]) in live}


def stage(path: freezing.Path) -> str:
  """Returns the stage of a parameter: 'stage1' for ('network', 'encoder', 'stage1').

  The path of a network that was fine-tuned before has one more 'network'.
  """
  while path[0] == 'network':
    path = path[1:]
  return path[1] if path[0] == 'encoder' else path[0]


def _stages(used: list[freezing.Path]) -> tuple[str, ...]:
  return tuple(dict.fromkeys(stage(path[1:]) for path in used))


def _split(whole: base.Tree, trained: set[freezing.Path]) -> base.Variables:
  flat = traverse_util.flatten_dict(whole)
  part = lambda wanted: traverse_util.unflatten_dict(
      {path: x for path, x in flat.items() if (path in trained) == wanted})
  live = part(True)
  return base.Variables(live['params'], live.get('batch_stats', {}),
                        non_trainable=part(False))
