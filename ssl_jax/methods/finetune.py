"""A classifier on a trained encoder, of which some stages, or all, stay frozen.

Fine-tuning where something of the encoder is trained (Chen et al. 2020,
arXiv:2002.05709, appendix B.5), a probe where nothing is: section 3 there ("a linear
classifier is trained on top of the frozen base network"), and with other heads and on
early feature maps Gidaris et al. 2018, arXiv:1803.07728, section 4.1.
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
  """A network, and a classifier on one of its endpoints.

  Attributes:
    network: as pre-trained; its own classifier, if it has one, is not used.
    head: see models.heads; called as `head(features, train=...)`.
    endpoint: of the network, which the head stands on.
    pool: how it becomes a vector, see models.pooling; 'none' leaves it as it is.
  """
  network: nn.Module
  head: nn.Module
  endpoint: str
  pool: str | int

  @property
  def encoder(self) -> nn.Module:
    return self.network.encoder

  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """float [B, H, W, C] -> the network's endpoints, and the head's 'logits'."""
    endpoints = self.network(x, train=train)
    endpoints = {k: v for k, v in endpoints.items() if k != 'logits'}
    x = errors.lookup('config.features.endpoint', self.endpoint, endpoints)
    x = x if self.pool == 'none' else pooling.pooled(x, self.pool)
    return endpoints | {'logits': self.head(x, train=train)}


@dataclasses.dataclass(frozen=True)
class FineTune(base.Base):
  """Softmax cross-entropy of a `Classifier`, from `freeze_until` upwards.

  A stage is a module directly in the encoder ('stem', 'stage1', 'block1'), the
  'projector', or the new 'head'; their order is that in which they compute. Stages
  before `freeze_until` are frozen by construction: they are in
  `Variables.non_trainable`, not among the parameters, so they have no gradient, no
  optimizer state and no weight decay, and their modules run in evaluation mode, so
  their batch statistics stay. (A stage passes `train` on to its BatchNorm, as those of
  ssl_jax.models do.) Whatever the endpoint does not depend on stays as it is too:
  later blocks, a pretext task's classifier, projection layers above.

  Layers of a projection head that the endpoint does depend on ('projection1') are
  trained like the encoder. So does google-research/simclr in its TF2 code
  (`ft_proj_selector`); its TF1 code leaves them as pre-trained.

  `init` draws all variables at random; `with_pretrained` puts the trained ones in.

  Attributes:
    network: a `Classifier`.
    freeze_until: the first stage that is trained; None trains all of them, 'head'
      none but the head.
    bn_momentum: what running statistics keep of their old value at each step; None
      leaves that to the layers.
  """
  freeze_until: str | None = None
  bn_momentum: float | None = None

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    """Fresh variables for images [H, W, C].

    Raises:
      errors.UserError: no such endpoint or stage, or a head that does not suit it.
    """
    whole = self._init_whole(key, image_shape)
    return _split(whole, self._trained(self._used(whole, image_shape)))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Puts in what the pre-training method's `encoder_variables(variables)` gave."""
    whole = {collection: {**tree, 'network': encoder.get(collection, {})}
             for collection, tree in self.encoder_variables(variables).items()}
    live = {'params': variables.params, 'batch_stats': variables.model_state}
    return _split(whole, traverse_util.flatten_dict(live).keys())

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
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
      # A layer moves them by 1 - MOMENTUM of the way; the rest of it is linear.
      pace = (1 - self.bn_momentum) / (1 - layers.MOMENTUM)
      model_state = jax.tree.map(lambda old, new: old + pace * (new - old),
                                 variables.model_state, model_state)
    logits = endpoints['logits']
    metrics = {'accuracy': classification.accuracy(logits, labels)}
    loss = classification.softmax_cross_entropy(logits, labels)
    return loss, base.LossOutput(model_state, metrics, endpoints)

  def encoder_variables(self, variables: base.Variables) -> base.Tree:
    """Frozen and trained variables in one tree, as the network takes them."""
    live = {'params': variables.params, 'batch_stats': variables.model_state}
    whole = (traverse_util.flatten_dict(variables.non_trainable)
             | traverse_util.flatten_dict(live))
    return {'batch_stats': {}} | traverse_util.unflatten_dict(whole)

  def frozen(self, variables: base.Variables) -> base.Tree:
    """Returns the variables of frozen stages, and those that the loss ignores."""
    return variables.non_trainable

  def stages(self, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """The stages that the endpoint depends on, from the image up to 'head'.

    Raises:
      errors.UserError: as `init`.
    """
    whole = jax.eval_shape(lambda key: self._init_whole(key, image_shape),
                           jax.random.key(0))
    used = self._used(whole, image_shape)
    self._trained(used)
    return _stages(used)

  def _init_whole(self, key, image_shape):
    return base.Base.encoder_variables(self, super().init(key, image_shape))

  def _used(self, whole, image_shape) -> list[freezing.Path]:
    """Paths, the collection first, of what the logits depend on, in order."""
    batch = {'image': jnp.zeros((1, *image_shape), jnp.uint8)}
    return freezing.in_order_of_use(lambda v: self.encode(v, batch)['logits'], whole)

  def _trained(self, used: list[freezing.Path]) -> set[freezing.Path]:
    """Those that are not frozen."""
    stages = _stages(used)
    first = stages[0] if self.freeze_until is None else self.freeze_until
    if first not in stages:
      raise errors.UserError(
          f'config.freeze_until is {first!r}; accepted are None, to train everything, '
          f'and what the endpoint {self.network.endpoint!r} of this network depends '
          f'on: {", ".join(stages)}{errors.suggestion(first, stages)}')
    live = stages[stages.index(first):]
    return {path for path in used if stage(path[1:]) in live}


def stage(path: freezing.Path) -> str:
  """The stage of a parameter: 'stage1' of ('network', 'encoder', 'stage1', ...).

  A network that was fine-tuned before lies one 'network' deeper.
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
