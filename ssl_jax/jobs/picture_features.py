"""Computes the parts of the pictures that show features of test images."""

import functools
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from PIL import Image

from ssl_jax.data import feed, sources, streamed
from ssl_jax.evaluators import knn, representation, rotation
from ssl_jax.methods import base
from ssl_jax.models import pooling
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib

THUMBNAIL = 40     # side of thumbnails in pixels
_FILTERS = 4       # filters of a feature map
_MOST_KERNELS = 64
_QUERIES = 4       # images of the test split, and as many mistakes
_NEIGHBOURS = 6
_VOTERS = 20       # neighbours that vote
_ROTATED = 500     # test images that are rotated


@functools.partial(jax.jit, static_argnums=0)
def _pooled(method: base.Base, variables: Any,
            batch: base.Batch) -> dict[str, jax.Array]:
  return {name: pooling.pooled(x, 'mean')
          for name, x in method.encode(variables, batch).items()}


def encode(method: base.Base, variables: Any, images: sources.Arrays, *,
           mesh: jax.sharding.Mesh, batch_size: int) -> dict[str, np.ndarray]:
  """Computes all endpoints of images, feature maps averaged over their positions.

  Args:
    method: encodes images.
    variables: variables of its encoder.
    images: N images.
    mesh: the devices.
    batch_size: number of images that are encoded at once.

  Returns:
    float32 [N, D] by endpoint, in the order of the network: the feature maps, 'pooled'
    and 'projection'. A stage whose average is 'pooled' is
    left out.
  """
  parts = []
  for batch in feed.eval_batches(images, batch_size, mesh):
    found = mesh_lib.gather({'mask': batch['mask'],
                             **_pooled(method, variables, batch)})
    mask = found.pop('mask').astype(bool)
    parts.append({name: x[mask] for name, x in found.items()})
  shapes = endpoints(method, variables, images)
  found = {name: np.concatenate([part[name] for part in parts])
           for name, shape in shapes.items()
           if len(shape) == 4 or name in ('pooled', 'projection')}
  for name in list(found):  # the last stage of a ResNet, averaged, is 'pooled'
    if name != 'pooled' and found[name].shape == found['pooled'].shape:
      if np.allclose(found[name], found['pooled'], rtol=1e-4, atol=1e-5):
        del found[name]
  return found


def endpoints(method: base.Base, variables: Any,
              images: sources.Arrays) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of the endpoints of one image, in the order of the network.

  Args:
    method: encodes images.
    variables: variables of its encoder.
    images: images of the shape that is encoded.
  """
  shapes = {}

  def traced(variables, batch):  # `jax.eval_shape` itself returns sorted names
    shapes.update((name, x.shape) for name, x in
                  method.encode(variables, batch).items())
  jax.eval_shape(traced, variables, _batch_of(images.read(np.arange(1))))
  return shapes


def _batch_of(examples: sources.Examples) -> dict[str, np.ndarray]:
  return {name: x for name, x in streamed.as_batch(examples).items() if name != 'mask'}


def feature_maps(encoder: encoder_lib.TrainedEncoder,
                 example: sources.Examples) -> dict[str, np.ndarray]:
  """Returns the feature maps [f, h, w] of one image with the largest variance.

  Args:
    encoder: the trained encoder.
    example: one image.

  Returns:
    At most four filters of every stage, the most variable first. A stem is left out.
  """
  images = sources.Arrays(example.images, example.labels, (), '', example.valid_sizes)
  maps = mesh_lib.gather(jax.jit(encoder.method.encode)(
      encoder.variables, _batch_of(example)))
  found = {}
  for name, shape in endpoints(encoder.method, encoder.variables, images).items():
    if len(shape) == 4 and name != 'stem':
      x = np.asarray(maps[name][0], np.float32)
      best = np.argsort(-x.std((0, 1)), kind='stable')[:_FILTERS]
      found[name] = x[:, :, best].transpose(2, 0, 1)
  return found


def first_filters(encoder: encoder_lib.TrainedEncoder) -> np.ndarray | None:
  """Returns the kernels of the first convolution [F, k, k, C], at most 64."""
  kernels = traverse_util.flatten_dict(encoder.variables['params'], sep='/')
  first = [np.asarray(x) for name, x in sorted(kernels.items())
           if x.ndim == 4 and x.shape[2] == encoder.image_shape[2]]
  return first[0].transpose(3, 0, 1, 2)[:_MOST_KERNELS] if first else None


def thumbnails(images: np.ndarray, side: int = THUMBNAIL) -> np.ndarray:
  """Reduces images, uint8 [n, H, W, C], so that no side is longer than `side`."""
  if max(images.shape[1:3]) <= side:
    return images
  scale = side / max(images.shape[1:3])
  size = tuple(max(1, round(scale * s)) for s in images.shape[2:0:-1])
  made = [np.asarray(Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).resize(
      size, Image.Resampling.BOX)) for x in images]
  return np.stack(made).reshape(len(images), size[1], size[0], images.shape[-1])


def neighbours(features: np.ndarray, bank_features: np.ndarray, test: sources.Arrays,
               bank: sources.Arrays) -> dict[str, Any]:
  """Classifies test images by their neighbours and shows the neighbours of some.

  Args:
    features: features of the test images [n, D].
    bank_features: features of the training images [N, D].
    test: the test images.
    bank: the training images.

  Returns:
    The fields of `report.pictures.Pictures` on votes, queries and neighbours.
  """
  classes, votes = len(test.class_names), None
  own = np.zeros(0, int)
  if classes and (bank.labels >= 0).any():
    votes = knn.predict(bank_features, bank.labels, features, num_classes=classes,
                        k=_VOTERS)
    votes = (votes / np.maximum(votes.sum(1, keepdims=True), 1e-12)).astype(np.float32)
    wrong = (votes.argmax(1) != test.labels) & (test.labels >= 0)
    own = np.argsort(np.where(wrong, -votes.max(1), 1), kind='stable')
    own = own[:min(_QUERIES, wrong.sum())]
  queries = np.concatenate([_of_several_classes(test.labels), own])
  rows, similarity = representation.nearest(bank_features, features[queries],
                                            min(_NEIGHBOURS, len(bank)))
  shown = thumbnails(bank.images[rows.ravel()])
  return {'votes': votes, 'queries': queries, 'own_queries': np.int64(len(own)),
          'neighbours': shown.reshape(*rows.shape, *shown.shape[1:]),
          'neighbour_labels': bank.labels[rows],
          'neighbour_similarities': similarity.astype(np.float32)}


def _of_several_classes(labels: np.ndarray) -> np.ndarray:
  """Returns rows of at most four images, each of another class if they have labels."""
  present, first = np.unique(labels, return_index=True)
  candidates = first if len(present) > 1 else np.arange(len(labels))
  n = min(_QUERIES, len(candidates))
  return candidates[np.arange(n) * len(candidates) // n]


def rotations(encoder: encoder_lib.TrainedEncoder, test: sources.Arrays,
              shown: np.ndarray, mesh: jax.sharding.Mesh,
              batch_size: int) -> dict[str, Any]:
  """Predicts the rotations of test images; {} if the method does not do that.

  Args:
    encoder: the trained encoder.
    test: the test images.
    shown: rows of the images that are shown; the first four are used.
    mesh: the devices.
    batch_size: number of images that are encoded at once, before they are rotated.

  Returns:
    The fields of `report.pictures.Pictures` on rotations.
  """
  turns = getattr(encoder.method, 'quarter_turns', None)
  if turns is None:
    return {}
  rows = np.union1d(shown[:_QUERIES], np.arange(min(len(test), _ROTATED)))
  chosen = sources.Arrays(*(x if x is None else x[rows] for x in (
      test.images, test.labels)), test.class_names, test.name,
      None if test.valid_sizes is None else test.valid_sizes[rows])
  parts = []
  for batch in rotation.expand(feed.eval_batches(chosen, batch_size, mesh), turns):
    logits = jax.nn.softmax(encoder.method.encode(encoder.variables, batch)['logits'])
    logits, mask = mesh_lib.gather((logits, batch['mask']))
    parts.append(logits[mask.astype(bool)])
  probabilities = np.concatenate(parts).reshape(len(rows), len(turns), -1)
  right = (probabilities.argmax(2) == np.arange(len(turns))).mean(1)
  by_class = [right[chosen.labels == k].mean() if (chosen.labels == k).any() else np.nan
              for k in range(len(test.class_names))]
  where = np.searchsorted(rows, shown[:_QUERIES])
  images = thumbnails(chosen.images[where])
  return {'rotated': np.stack([np.rot90(images, k, (1, 2)) for k in turns], 1),
          'rotations': np.array(turns), 'rotation_accuracy': np.array(by_class),
          'rotation_probabilities': np.asarray(probabilities[where], np.float32)}
