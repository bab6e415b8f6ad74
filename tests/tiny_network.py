"""Makes trained encoders of any architecture without training: all arrays are drawn."""

import functools

import jax
import numpy as np
import tiny

from ssl_jax import api, methods
from ssl_jax.jobs import export
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib

AUGMENT = {'recipe': 'crop_flip', 'mean': [0.5, 0.4, 0.3], 'std': [0.2, 0.3, 0.4]}


def encoder(model=None, size=40, classes=0, augment=AUGMENT) -> api.Encoder:
  """Returns an encoder of RGB images, with the method supervised if it has classes.

  Images of more than 32 pixels are cropped and resized.
  """
  names = tuple(f'class {i}' for i in range(classes))
  config = {**tiny.config('supervised' if classes else 'simclr'),
            'model': dict(model or tiny.MODEL), 'augment': dict(augment),
            'dataset': {'image_shape': [size, size, 3], 'class_names': list(names)}}
  method = methods.build(config, classes)
  shapes = jax.eval_shape(
      lambda key: method.encoder_variables(method.init(key, (size, size, 3))),
      jax.random.key(0))
  rng = np.random.default_rng(0)
  draw = lambda shape: np.float32(
      rng.uniform(0.5, 1.5, shape) if len(shape) == 1
      else rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])))
  variables = jax.tree.map(lambda x: draw(x.shape), shapes)
  mesh = mesh_lib.data_mesh(jax.devices()[:1])
  return api.Encoder(encoder_lib.TrainedEncoder(
      method, mesh_lib.put_replicated(mesh, variables), config, 7, (size, size, 3),
      names), mesh)


def network(*args, **options):
  """Returns the result of `encoder` as the formats receive it."""
  return export.describe(encoder(*args, **options).trained)


@functools.cache
def images(count: int, size: int = 40) -> np.ndarray:
  return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), np.uint8)
