"""Computes the parts of the pictures that show the views of the training."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax.augment import policies, views
from ssl_jax.data import sources
from ssl_jax.evaluators import representation
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib

_SHOWN = 4    # images whose views are shown
_PAIRS = 256  # images whose views are compared
_MOST_VIEWS = 4


@dataclasses.dataclass(frozen=True)
class Drawn:
  """Holds views of some training images.

  Attributes:
    originals: uint8 [B, H, W, C].
    views: one array per view of the image, uint8 [B, h, w, C].
    boxes: the parts of the originals that each view shows, as fractions top, left,
      height and width [B, 4].
  """
  originals: np.ndarray
  views: list[np.ndarray]
  boxes: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Holds the comparison of two views of an image.

  Attributes:
    similarities: as in `report.pictures.Pictures`.
    alignment: 'before', 'after' -> the mean squared distance of both views.
  """
  similarities: Mapping[str, np.ndarray]
  alignment: Mapping[str, float]


def untrained(encoder: encoder_lib.TrainedEncoder) -> Any:
  """Returns the variables of the encoder before its first step, drawn by its seed."""
  # train/loop.py draws the initial state by the first of these keys. It is not compiled
  # as one program here, because that takes half a minute.
  key = jax.random.split(jax.random.key(encoder.config.get('seed', 0)))[0]
  drawn = encoder.method.init(key, encoder.image_shape)
  return jax.tree.map(lambda new, like: jax.device_put(new, like.sharding),
                      encoder.method.encoder_variables(drawn), encoder.variables)


def recipes(encoder: encoder_lib.TrainedEncoder) -> list[policies.Policy]:
  """Returns the policy of each view, without normalisation; at least two, at most four.

  A method with one view per image draws it twice.
  """
  found = [dataclasses.replace(policy, mean=None, std=None)
           for policy in encoder.method.policies][:_MOST_VIEWS]
  return found * 2 if len(found) == 1 else found


def draw(encoder: encoder_lib.TrainedEncoder, images: sources.Arrays,
         seed: int) -> Drawn:
  """Draws the views of at most 256 images, evenly spaced.

  Args:
    encoder: has the augmentation of its training.
    images: training images.
    seed: seed of the views.
  """
  n = min(_PAIRS, len(images))
  examples = images.read(np.arange(n) * len(images) // n)
  shape = examples.images.shape[1:3]
  made, boxes = [], []
  for v, policy in enumerate(recipes(encoder)):
    key = jax.random.fold_in(jax.random.key(seed), v)
    view, box = _draw(policy, key, examples.images, examples.valid_sizes)
    made.append(np.asarray(view))
    boxes.append(np.asarray(box) / np.tile(shape, 2))
  return Drawn(examples.images, made, boxes)


@functools.partial(jax.jit, static_argnums=0)
def _draw(policy, key, images, valid_sizes):
  """Returns views, uint8, and their boxes in pixels [B, 4]."""
  made = views.make((policy,), key, images, jnp.float32, valid_sizes)
  keys = jax.random.split(key, len(images))  # those of `views.make`
  box = jax.vmap(lambda key, size: policy.box(key, images.shape[1:3], size))(
      keys, valid_sizes)
  box = [jnp.broadcast_to(side, len(images)) for side in box]
  return jnp.round(255 * made).astype(jnp.uint8), jnp.stack(box, 1)


def shown(drawn: Drawn) -> dict[str, Any]:
  """Returns 'originals', 'views' and 'boxes' of four images for the pictures."""
  n = min(_SHOWN, len(drawn.originals))
  rows = np.arange(n) * len(drawn.originals) // n
  by_name = lambda arrays: {f'view {v}': x[rows] for v, x in enumerate(arrays, 1)}
  return {'originals': drawn.originals[rows], 'views': by_name(drawn.views),
          'boxes': by_name(drawn.boxes)}


def similarities(encoder: encoder_lib.TrainedEncoder, before: Any,
                 drawn: Drawn) -> Pairs:
  """Compares the features of the first two views of each image.

  Args:
    encoder: the trained encoder.
    before: the variables of the untrained encoder.
    drawn: the views.
  """
  # A view is not cropped once more, as an image in an evaluation would be.
  method = dataclasses.replace(encoder.method, preprocess=dataclasses.replace(
      encoder.method.preprocess, proportion=1.0))
  encode = jax.jit(lambda variables, view: method.encode(
      variables, {'image': view})['pooled'])
  found, aligned = {}, {}
  for when, variables in (('before', before), ('after', encoder.variables)):
    first, second = (mesh_lib.gather(encode(variables, view))
                     for view in drawn.views[:2])
    aligned[when] = representation.alignment(first, second)
    # Features after a ReLU are all similar until their mean is subtracted.
    mean = np.concatenate([first, second]).mean(0)
    cosines = representation.unit(first - mean) @ representation.unit(second - mean).T
    found[f'same/{when}'] = np.diag(cosines).astype(np.float32)
    # Each view with that of the next image, so that both have the same number.
    found[f'other/{when}'] = np.diag(np.roll(cosines, -1, 1)).astype(np.float32)
  return Pairs(found, aligned)
