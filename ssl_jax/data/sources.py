"""Defines a data set for the rest of the library: random access to uint8 images."""

import abc
import collections
import dataclasses
import hashlib
import math
import os
from collections.abc import Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np

from ssl_jax import errors

_PART = 256  # images that one thread decodes in a go


class Examples(NamedTuple):
  """Some examples, in the order they were asked for.

  Attributes:
    images: uint8 [n, H, W, C].
    labels: int32 [n]; -1 is unlabelled.
    mask: bool [n]; False where an image could not be decoded. Its pixels are 0.
    valid_sizes: int32 [n, 2], the true height and width of images that lie in the top
      left of a canvas, whose rest is 0; None where images fill their arrays.
  """

  images: np.ndarray
  labels: np.ndarray
  mask: np.ndarray
  valid_sizes: np.ndarray | None = None

  def take(self, where: Any) -> 'Examples':
    """The rows that a NumPy index selects."""
    return Examples(*(x if x is None else x[where] for x in self))

  def put(self, where: Any, rows: 'Examples') -> None:
    """Copies `rows` to where a NumPy index says."""
    for mine, theirs in zip(self, rows, strict=True):
      if mine is not None:
        mine[where] = theirs


class Source(abc.ABC):
  """A data set with N examples of one shape.

  Attributes:
    name: Its name in messages, `'cifar10/train'`.
    class_names: One name per label; () for an unlabelled set.
    image_shape: (H, W, C); with a canvas, that of the canvas.
    canvas: Whether `Examples.valid_sizes` say which part of the array an image takes.
    labels: int32 [N], -1 where unlabelled. Asking for it decodes no image.
    file_names: N names without folders, which lists of images go by.

  Raises:
    errors.UserError: `file_names` was asked for, and there are none.
  """

  name: str
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  canvas: bool = False
  labels: np.ndarray

  @property
  def file_names(self) -> Sequence[str]:
    raise errors.UserError(
        f'{self.name} has no file names, which config.data.label_subset.file_list '
        'needs; use another rule, such as config.data.label_subset.fraction')

  @property
  def fingerprint(self) -> dict[str, int | str]:
    """Tells data that have changed: 'images', their number, and hashes by name.

    It decodes no image.
    """
    found = {'images': len(self), 'labels': digest(self.labels.tobytes())}
    try:
      return {**found, 'file_names': digest('\0'.join(self.file_names).encode())}
    except errors.UserError:  # there are none
      return found

  @property
  def description(self) -> dict[str, Any]:
    """Describes the data for checkpoints, which compare it when a run resumes."""
    return {'image_shape': list(self.image_shape),
            'class_names': list(self.class_names), 'fingerprint': self.fingerprint}

  @abc.abstractmethod
  def __len__(self) -> int:
    """N."""

  @abc.abstractmethod
  def read(self, indices: np.ndarray) -> Examples:
    """Reads the examples `indices`, int [n] in [0, N), from any thread.

    The arrays are the caller's, who may write to them.
    """

  def blank(self, n: int) -> Examples:
    """`n` black images without a label, all masked."""
    whole = np.array(self.image_shape[:2], np.int32)
    return Examples(
        np.zeros((n, *self.image_shape), np.uint8), np.full(n, -1, np.int32),
        np.zeros(n, bool), np.tile(whole, (n, 1)) if self.canvas else None)

  def load_into_memory(self) -> 'Arrays':
    """Decodes everything into host memory; images that fail are left out.

    Raises:
      errors.UserError: More images fail than the source allows.
    """
    rows = self.blank(len(self))

    def fill(part: np.ndarray) -> None:
      rows.put(part, self.read(part))

    parts = np.array_split(np.arange(len(self)), -(-len(self) // _PART))
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      collections.deque(pool.map(fill, parts), maxlen=0)
    if not rows.mask.all():  # copying everything is for those who must
      rows = rows.take(rows.mask)
    return Arrays(rows.images, rows.labels, self.class_names, self.name,
                  rows.valid_sizes)

  @property
  def nbytes(self) -> int:
    """Bytes of all images decoded."""
    return len(self) * math.prod(self.image_shape)

  @property
  def num_classes(self) -> int:
    return len(self.class_names)


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays(Source):
  """A data set in host memory.

  Attributes:
    images: uint8 [N, H, W, C].
    labels: int32 [N].
    valid_sizes: int32 [N, 2] where images lie on a canvas; see `Examples`.
  """

  images: np.ndarray
  labels: np.ndarray
  class_names: tuple[str, ...] = ()
  name: str = 'arrays'
  valid_sizes: np.ndarray | None = None

  @property
  def canvas(self) -> bool:
    return self.valid_sizes is not None

  @property
  def image_shape(self) -> tuple[int, int, int]:
    return self.images.shape[1:]

  def __len__(self) -> int:
    return len(self.images)

  def read(self, indices: np.ndarray) -> Examples:
    valid_sizes = None if self.valid_sizes is None else self.valid_sizes[indices]
    return Examples(self.images[indices], self.labels[indices],
                np.ones(len(indices), bool), valid_sizes)

  def load_into_memory(self) -> 'Arrays':
    return self


@dataclasses.dataclass(frozen=True, eq=False)
class Subset(Source):
  """The examples `indices`, int [n], of another source."""

  parent: Source
  indices: np.ndarray
  name: str

  @property
  def class_names(self) -> tuple[str, ...]:
    return self.parent.class_names

  @property
  def image_shape(self) -> tuple[int, int, int]:
    return self.parent.image_shape

  @property
  def labels(self) -> np.ndarray:
    return self.parent.labels[self.indices]

  @property
  def canvas(self) -> bool:
    return self.parent.canvas

  @property
  def file_names(self) -> Sequence[str]:
    names = self.parent.file_names
    return [names[i] for i in self.indices]

  @property
  def fingerprint(self) -> dict[str, int | str]:
    """That of the parent, whose labels may take long to read, and of the choice."""
    return {**self.parent.fingerprint, 'images': len(self),
            'selection': digest(np.asarray(self.indices, np.int64).tobytes())}

  def __len__(self) -> int:
    return len(self.indices)

  def read(self, indices: np.ndarray) -> Examples:
    return self.parent.read(self.indices[indices])


def subset(source: Source, indices: np.ndarray, name: str) -> Source:
  """Some examples of a source; of `Arrays`, arrays again."""
  if isinstance(source, Arrays):
    rows = source.read(indices)
    return Arrays(rows.images, rows.labels, source.class_names, name, rows.valid_sizes)
  return Subset(source, np.asarray(indices), name)


def digest(data: bytes) -> str:
  """Returns a short hash, which is equal where the bytes are."""
  return hashlib.sha256(data).hexdigest()[:16]
