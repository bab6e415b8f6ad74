"""Defines `Source`, a data set with random access to uint8 images."""

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

_PART = 256  # number of images that one thread decodes in one call


class Examples(NamedTuple):
  """Holds n examples of a source, in the order of the requested indices.

  Attributes:
    images: uint8 [n, H, W, C].
    labels: int32 [n]; -1 for an example without label.
    mask: bool [n]; False for an image that could not be decoded, whose pixels are 0.
    valid_sizes: int32 [n, 2], the height and width in pixels of images at the top left
      of a canvas, whose other pixels are 0; None if images fill their arrays.
  """

  images: np.ndarray
  labels: np.ndarray
  mask: np.ndarray
  valid_sizes: np.ndarray | None = None

  def take(self, where: Any) -> 'Examples':
    """Returns the examples that a NumPy index selects."""
    return Examples(*(x if x is None else x[where] for x in self))

  def put(self, where: Any, examples: 'Examples') -> None:
    """Overwrites the examples that a NumPy index selects.

    Args:
      where: The NumPy index.
      examples: The examples to copy there.
    """
    for target, new in zip(self, examples, strict=True):
      if target is not None:
        target[where] = new


class Source(abc.ABC):
  """A data set with N examples of one shape.

  Attributes:
    name: Name of the data in messages, such as 'cifar10/train'.
    class_names: One name per label; () for a data set without labels.
    image_shape: (H, W, C), the shape of images or of their canvas.
    canvas: Whether images are on a canvas, at the sizes `Examples.valid_sizes`.
    labels: int32 [N], -1 for an example without label. This decodes no image.
    file_names: N names without folders, by which `subsets.by_file_list` selects.

  Raises:
    errors.UserError: `file_names` was read, but the data set has none.
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
  def image_names(self) -> Sequence[str]:
    """N names that tell users which image is meant, such as relative paths.

    Images without file names have their index.
    """
    try:
      return self.file_names
    except errors.UserError:
      return [str(i) for i in range(len(self))]

  @property
  def partly_labelled(self) -> bool:
    """Returns whether some examples have a label and others have none."""
    return self.num_classes > 0 and bool((self.labels < 0).any())

  def skip_bad_images(self) -> None:
    """Makes `read` skip any number of images that do not decode, without a warning."""
    return  # Sources without encoded images have none to skip.

  @property
  def fingerprint(self) -> dict[str, int | str]:
    """Returns 'images', the number of images, and hashes of labels and file names.

    It differs if the data have changed. It decodes no image.
    """
    found = {'images': len(self), 'labels': digest(self.labels.tobytes())}
    try:
      return {**found, 'file_names': digest('\0'.join(self.file_names).encode())}
    except errors.UserError:  # the data set has no file names
      return found

  @property
  def description(self) -> dict[str, Any]:
    """Returns what checkpoints record of the data and compare when a run resumes."""
    return {'image_shape': list(self.image_shape),
            'class_names': list(self.class_names), 'fingerprint': self.fingerprint}

  @abc.abstractmethod
  def __len__(self) -> int:
    """Returns N, the number of examples."""

  @abc.abstractmethod
  def read(self, indices: np.ndarray) -> Examples:
    """Reads the examples `indices`, int [n] in [0, N); any thread may call it.

    The caller may write to the arrays that it returns.
    """

  def blank(self, n: int) -> Examples:
    """Returns `n` black images without a label, whose mask is False."""
    whole = np.array(self.image_shape[:2], np.int32)
    return Examples(
        np.zeros((n, *self.image_shape), np.uint8), np.full(n, -1, np.int32),
        np.zeros(n, bool), np.tile(whole, (n, 1)) if self.canvas else None)

  def load_into_memory(self) -> 'Arrays':
    """Decodes all images into host memory; images that do not decode are left out.

    Raises:
      errors.UserError: More images do not decode than the source allows.
    """
    examples = self.blank(len(self))

    def fill(part: np.ndarray) -> None:
      examples.put(part, self.read(part))

    parts = np.array_split(np.arange(len(self)), -(-len(self) // _PART))
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      collections.deque(pool.map(fill, parts), maxlen=0)
    if not examples.mask.all():  # otherwise the arrays need no copy
      examples = examples.take(examples.mask)
    return Arrays(examples.images, examples.labels, self.class_names, self.name,
                  examples.valid_sizes)

  @property
  def nbytes(self) -> int:
    """Returns the size of all decoded images in bytes."""
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
    class_names: One name per label; () for a data set without labels.
    name: Name of the data in messages.
    valid_sizes: int32 [N, 2] if images are on a canvas, or None; see `Examples`.
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
  """A selection of the examples of another source.

  Attributes:
    parent: The other source.
    indices: int [n], the selected examples.
    name: Name of the data in messages.
  """

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
  def image_names(self) -> Sequence[str]:
    names = self.parent.image_names
    return [names[i] for i in self.indices]

  @property
  def partly_labelled(self) -> bool:
    # Parents that cannot have both kinds say so without reading their labels.
    return self.parent.partly_labelled and super().partly_labelled

  def skip_bad_images(self) -> None:
    self.parent.skip_bad_images()

  @property
  def fingerprint(self) -> dict[str, int | str]:
    """Returns the fingerprint of the parent and a hash of the indices.

    The labels of the selection are not hashed, because they may take long to read.
    """
    return {**self.parent.fingerprint, 'images': len(self),
            'selection': digest(np.asarray(self.indices, np.int64).tobytes())}

  def __len__(self) -> int:
    return len(self.indices)

  def read(self, indices: np.ndarray) -> Examples:
    return self.parent.read(self.indices[indices])


def subset(source: Source, indices: np.ndarray, name: str) -> Source:
  """Returns a selection of the examples of a source; `Arrays` if the source is.

  Args:
    source: The source.
    indices: int [n], the selected examples.
    name: Name of the data in messages.
  """
  if isinstance(source, Arrays):
    examples = source.read(indices)
    return Arrays(examples.images, examples.labels, source.class_names, name,
                  examples.valid_sizes)
  return Subset(source, np.asarray(indices), name)


def digest(data: bytes) -> str:
  """Returns a hash of 16 hexadecimal digits."""
  return hashlib.sha256(data).hexdigest()[:16]
