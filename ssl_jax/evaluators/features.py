"""Encodes the images of a split once and holds their features and labels in memory."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from ssl_jax import errors
from ssl_jax.models import pooling
from ssl_jax.parallel import mesh

UNLABELLED = -1
Batch = Mapping[str, jax.Array]
Encode = Callable[[Any, Batch], Mapping[str, jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
  """Holds the features and labels of one split.

  Evaluators receive these arrays and not the encoder, so they cannot change it.

  Attributes:
    features: float32 [N, D], one row per image.
    labels: int32 [N], class ids, or `UNLABELLED`.
    indices: int [N], the index of each image in the split, or None if it is not known.
      Images that did not decode are not in these arrays, so indices may be missing.
  """
  features: np.ndarray
  labels: np.ndarray
  indices: np.ndarray | None = None

  def __post_init__(self):
    if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
      raise errors.UserError(
          f'features of shape {self.features.shape} and labels of shape '
          f'{self.labels.shape} do not belong together; accepted are [N, D] and [N]')

  def labelled(self, num_classes: int) -> 'Features':
    """Returns the images that have a label.

    Raises:
      errors.UserError: no image has a label, or a label is not in
        [0, `num_classes`).
    """
    known = self.labels != UNLABELLED
    if not known.any():
      raise errors.UserError(
          f'none of the {len(known)} images of a split has a label; an evaluation '
          'needs labelled images in each split')
    low, high = self.labels[known].min(), self.labels[known].max()
    if low < 0 or high >= num_classes:
      raise errors.UserError(
          f'labels span {low} to {high}; accepted are 0 to {num_classes - 1}, or '
          f'{UNLABELLED} for no label')
    return self if known.all() else Features(self.features[known], self.labels[known])


def concatenate(*parts: Features) -> Features:
  """Joins the images of several splits, in the order of the arguments."""
  return Features(np.concatenate([p.features for p in parts]),
                  np.concatenate([p.labels for p in parts]))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Computes the mean and biased standard deviation of each feature, float32 [D].

  A feature that hardly varies, such as a dead unit, gets the standard deviation 1.
  Division by its own standard deviation would make its rounding errors as large as
  the values of other features.

  Args:
    features: float32 [N, D].
  """
  mean = features.mean(0, dtype=np.float64).astype(np.float32)
  std = np.sqrt(np.square(features - mean).mean(0, dtype=np.float64))
  std = np.where(std > 1e-6 * std.max(), std, 1.)
  return mean, std.astype(np.float32)


def extract(encode: Encode, variables: Any, batches: Iterable[Batch],
            endpoint: str, pool: str | int = 'mean') -> Features:
  """Runs a frozen encoder once over a split.

  Batches are global arrays. Every process must iterate over the same number of them,
  and every process returns all images, in order. XLA removes the layers that the
  endpoint does not need, so an early block costs only the blocks up to it. Use the
  same `encode` object in all calls: it is compiled once for each object, batch shape,
  endpoint and pool.

  Args:
    encode: `encode(variables, batch)` returns the endpoints by name, [B, D] or
      [B, H, W, C]. It is traced here and must apply the encoder in evaluation mode.
    variables: the variables of the encoder; an argument of the jitted function.
    batches: dictionaries with the arrays that `encode` reads (for methods, those of
      methods.base.Batch), 'label' int32 [B] and 'mask' [B]. Images whose mask is zero
      or False, such as the padding of the last batch, are dropped.
    endpoint: name of the endpoint to return.
    pool: how a feature map becomes a vector; see `models.pooling.pooled`.

  Raises:
    errors.UserError: the endpoint or the pool is unknown (this is checked before
      anything is compiled), no images were given, or features are not finite.
  """
  features, labels, masks, pending = [], [], [], None

  def collect(encoded):
    encoded = mesh.gather(encoded)
    mask = encoded['mask'].astype(bool)
    masks.append(mask)
    features.append(encoded['features'][mask])
    labels.append(encoded['label'][mask].astype(np.int32))

  for batch in batches:
    if pending is None:
      _check(encode, variables, batch, endpoint, pool)
    encoded = {'label': batch['label'], 'mask': batch['mask'],
               'features': _encode(encode, endpoint, pool, variables, batch)}
    # The host copies a batch while the device computes the next one.
    if pending is not None:
      collect(pending)
    pending = encoded
  if pending is None:
    raise errors.UserError('the split to encode has no images')
  collect(pending)
  out = Features(np.concatenate(features), np.concatenate(labels),
                 np.flatnonzero(np.concatenate(masks)))
  broken = ~np.isfinite(out.features).all(1)
  if broken.any():
    raise errors.UserError(
        f'endpoint {endpoint!r} is not finite for {broken.sum()} of {len(broken)} '
        'images, so this encoder diverged; choose an earlier checkpoint')
  return out


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _encode(encode, endpoint, pool, variables, batch):
  return pooling.pooled(encode(variables, batch)[endpoint], pool)


def _check(encode, variables, batch, endpoint, pool):
  """Raises `errors.UserError` for mistakes that can be found without compilation."""
  shapes = jax.eval_shape(encode, variables, batch)
  shape = errors.lookup('endpoint', endpoint, shapes)
  if len(shape.shape) not in (2, 4):
    raise errors.UserError(
        f'endpoint {endpoint!r} has shape {shape.shape}; accepted are [B, D] and '
        '[B, H, W, C]')
  jax.eval_shape(functools.partial(pooling.pooled, pool=pool), shape)


def save_npz(path: str | os.PathLike, splits: Mapping[str, Features],
             **arrays: Any) -> None:
  """Writes features to an .npz file that NumPy reads without pickle.

  Only process 0 writes.

  Args:
    path: path of the file, which is replaced atomically.
    splits: features by split; the file has the arrays `<split>_features` and
      `<split>_labels` for each.
    **arrays: further arrays of the file.
  """
  if jax.process_index():
    return
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + '.partial')
  with partial.open('wb') as f:
    np.savez(f, **arrays, **{f'{split}_{field}': getattr(data, field)
                             for split, data in splits.items()
                             for field in ('features', 'labels')})
  os.replace(partial, path)
