"""Encodes one pass over a split to features and labels in memory."""

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
  """Holds the features and labels of one split; it has no encoder to change.

  Attributes:
    features: float32 [N, D].
    labels: int32 [N], a class id or `UNLABELLED`.
    rows: int [N], the position in the split of every image, where that is known:
      images that do not decode have no row.
  """
  features: np.ndarray
  labels: np.ndarray
  rows: np.ndarray | None = None

  def __post_init__(self):
    if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
      raise errors.UserError(
          f'features of shape {self.features.shape} and labels of shape '
          f'{self.labels.shape} do not belong together; accepted are [N, D] and [N]')

  def labelled(self, num_classes: int) -> 'Features':
    """Keeps the rows that have a label.

    Raises:
      errors.UserError: none has one, or one is not below `num_classes`.
    """
    known = self.labels != UNLABELLED
    if not known.any():
      raise errors.UserError(
          f'none of the {len(known)} images of a split has a label; an evaluation '
          'needs some in each split')
    low, high = self.labels[known].min(), self.labels[known].max()
    if low < 0 or high >= num_classes:
      raise errors.UserError(
          f'labels span {low} to {high}; accepted are 0 to {num_classes - 1}, or '
          f'{UNLABELLED} for no label')
    return self if known.all() else Features(self.features[known], self.labels[known])


def concatenate(*parts: Features) -> Features:
  """Joins splits row by row."""
  return Features(np.concatenate([p.features for p in parts]),
                  np.concatenate([p.labels for p in parts]))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean and (biased) standard deviation of every feature, float32 [D] each.

  A feature that hardly varies, such as a dead unit, gets deviation 1: dividing
  by its own would blow rounding errors up to the size of the others.
  """
  mean = features.mean(0, dtype=np.float64).astype(np.float32)
  std = np.sqrt(np.square(features - mean).mean(0, dtype=np.float64))
  std = np.where(std > 1e-6 * std.max(), std, 1.)
  return mean, std.astype(np.float32)


def extract(encode: Encode, variables: Any, batches: Iterable[Batch],
            endpoint: str, pool: str | int = 'mean') -> Features:
  """Runs a frozen encoder once over a split.

  Batches are global arrays and every process must be given as many of them; all
  processes return all rows, in order. XLA drops what the endpoint does not need,
  so an early block costs only the blocks up to it. Use one `encode` object for
  several calls: it is compiled once per object, batch shape, endpoint and pool.

  Args:
    encode: `encode(variables, batch)` gives endpoints, [B, D] or [B, H, W, C]. It is
      traced here and must apply the encoder in evaluation mode.
    variables: of the encoder; passed through jit as an argument.
    batches: of what `encode` reads (of methods: methods.base.Batch), 'label' int32 [B]
      and 'mask' [B], zero or False in the rows that pad the last batch, which are
      dropped.
    endpoint: which of the endpoints.
    pool: how a feature map becomes a vector, see models.pooling.

  Raises:
    errors.UserError: an unknown endpoint or pool (before anything is compiled),
      no images, or features that are not finite.
  """
  features, labels, masks, pending = [], [], [], None

  def collect(rows):
    rows = mesh.gather(rows)
    mask = rows['mask'].astype(bool)
    masks.append(mask)
    features.append(rows['features'][mask])
    labels.append(rows['label'][mask].astype(np.int32))

  for batch in batches:
    if pending is None:
      _check(encode, variables, batch, endpoint, pool)
    rows = {'label': batch['label'], 'mask': batch['mask'],
            'features': _encode(encode, endpoint, pool, variables, batch)}
    # Fetched one batch late, so that the device computes while the host copies.
    if pending is not None:
      collect(pending)
    pending = rows
  if pending is None:
    raise errors.UserError('the split to encode has no images')
  collect(pending)
  out = Features(np.concatenate(features), np.concatenate(labels),
                 np.flatnonzero(np.concatenate(masks)))
  broken = ~np.isfinite(out.features).all(1)
  if broken.any():
    raise errors.UserError(
        f'endpoint {endpoint!r} is not finite for {broken.sum()} of {len(broken)} '
        'images; this encoder diverged, choose an earlier checkpoint')
  return out


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _encode(encode, endpoint, pool, variables, batch):
  return pooling.pooled(encode(variables, batch)[endpoint], pool)


def _check(encode, variables, batch, endpoint, pool):
  """Raises before compilation what tracing alone can tell."""
  shapes = jax.eval_shape(encode, variables, batch)
  shape = errors.lookup('endpoint', endpoint, shapes)
  if len(shape.shape) not in (2, 4):
    raise errors.UserError(
        f'endpoint {endpoint!r} has shape {shape.shape}; accepted are [B, D] and '
        '[B, H, W, C]')
  jax.eval_shape(functools.partial(pooling.pooled, pool=pool), shape)


def save_npz(path: str | os.PathLike, splits: Mapping[str, Features],
             **arrays: Any) -> None:
  """Writes features to a file that NumPy reads without pickle, from process 0.

  Args:
    path: of the file, which is replaced atomically.
    splits: each becomes `<split>_features` and `<split>_labels`.
    **arrays: what else the file holds.
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
