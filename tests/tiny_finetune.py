"""Makes configs and variables of fine-tuned networks that compile fast."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny
from flax import traverse_util

from ssl_jax import methods

SHAPE = (8, 8, 3)


def config(freeze_until=None, model='staged', pretrain='simclr', endpoint='pooled',
           pool='mean', head='linear', model_fields=()):
  """Returns the config that a checkpoint of fine-tuning holds."""
  return {
      **tiny.config(), 'augment': {'recipe': 'none'},
      'method': {'name': 'finetune', 'freeze_until': freeze_until},
      'features': {'endpoint': endpoint, 'pool': pool}, 'head': {'name': head},
      'pretrained': {
          **tiny.config(pretrain), 'model': {'name': model, **dict(model_fields)},
          'dataset': {'image_shape': list(SHAPE), 'class_names': ['a', 'b', 'c']}}}


def build(*args, **fields):
  return methods.build(config(*args, **fields), 4)


def drawn(method, seed=0):
  """Draws all variables by NumPy, so that statistics differ from fresh ones too."""
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(lambda key: method.init(key, SHAPE), jax.random.key(0))

  def draw(path, x):
    if path[-1].key in ('scale', 'bias', 'var'):
      return jnp.asarray(rng.uniform(0.5, 2, x.shape), x.dtype)
    return jnp.asarray(0.4 * rng.normal(size=x.shape), x.dtype)
  return jax.tree_util.tree_map_with_path(draw, shapes)


def flat(tree):
  return {'/'.join(path): np.asarray(x)
          for path, x in traverse_util.flatten_dict(tree).items()}
