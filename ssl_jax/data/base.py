"""What a data set is to the rest of the library: random access to uint8 images."""

import abc
import collections
import dataclasses
import math
import os
from concurrent import futures
from typing import NamedTuple

import numpy as np

_PART = 256  # images that one thread decodes in a go


class Rows(NamedTuple):
  """Some examples, in the order they were asked for.

  Attributes:
    images: uint8 [n, H, W, C].
    labels: int32 [n]; -1 is unlabelled.
    ok: bool [n]; False where an image could not be decoded. Its pixels are 0.
  """

  images: np.ndarray
  labels: np.ndarray
  ok: np.ndarray


class Source(abc.ABC):
  """A data set with N examples of one shape.

  Attributes:
    name: What messages call it, `'cifar10/train'`.
    class_names: One name per label; () for an unlabelled set.
    image_shape: (H, W, C).
    labels: int32 [N], -1 where unlabelled. Asking for it decodes no image.
  """

  name: str
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  labels: np.ndarray

  @abc.abstractmethod
  def __len__(self) -> int:
    """N."""

  @abc.abstractmethod
  def read(self, indices: np.ndarray) -> Rows:
    """Reads the examples `indices`, int [n] in [0, N), from any thread."""

  def materialise(self) -> 'Arrays':
    """Decodes everything into host memory; images that fail are left out.

    Raises:
      errors.UserError: More images fail than the source allows.
    """
    images = np.empty((len(self), *self.image_shape), np.uint8)
    labels = np.empty(len(self), np.int32)
    ok = np.empty(len(self), bool)

    def fill(part: np.ndarray) -> None:
      images[part], labels[part], ok[part] = self.read(part)

    parts = np.array_split(np.arange(len(self)), -(-len(self) // _PART))
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      collections.deque(pool.map(fill, parts), maxlen=0)
    if not ok.all():  # copying everything is for those who must
      images, labels = images[ok], labels[ok]
    return Arrays(images, labels, self.class_names, self.name)

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
  """

  images: np.ndarray
  labels: np.ndarray
  class_names: tuple[str, ...] = ()
  name: str = 'arrays'

  @property
  def image_shape(self) -> tuple[int, int, int]:
    return self.images.shape[1:]

  def __len__(self) -> int:
    return len(self.images)

  def read(self, indices: np.ndarray) -> Rows:
    return Rows(self.images[indices], self.labels[indices],
                np.ones(len(indices), bool))

  def materialise(self) -> 'Arrays':
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

  def __len__(self) -> int:
    return len(self.indices)

  def read(self, indices: np.ndarray) -> Rows:
    return self.parent.read(self.indices[indices])


def subset(source: Source, indices: np.ndarray, name: str) -> Source:
  """Some examples of a source; of `Arrays`, arrays again."""
  if isinstance(source, Arrays):
    return Arrays(source.images[indices], source.labels[indices],
                  source.class_names, name)
  return Subset(source, np.asarray(indices), name)
