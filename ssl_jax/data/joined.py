"""Joins two splits of a data set, to train on both after all settings were chosen."""

import dataclasses

import numpy as np

from ssl_jax.data import sources


@dataclasses.dataclass(frozen=True, eq=False)
class Joined(sources.Source):
  """A data set of all examples of `first`, followed by those of `second`.

  Attributes:
    first: The first source.
    second: A source with the same classes and the same shape of images.
    name: Name of the data in messages.
  """

  first: sources.Source
  second: sources.Source
  name: str

  @property
  def class_names(self) -> tuple[str, ...]:
    return self.first.class_names

  @property
  def image_shape(self) -> tuple[int, int, int]:
    return self.first.image_shape

  @property
  def canvas(self) -> bool:
    return self.first.canvas

  @property
  def labels(self) -> np.ndarray:
    return np.concatenate([self.first.labels, self.second.labels])

  @property
  def fingerprint(self) -> dict[str, int | str]:
    both = (self.first.fingerprint, self.second.fingerprint)
    return {'images': len(self), **{
        f'{key}_of_both_splits': sources.digest(f'{both[0][key]} {value}'.encode())
        for key, value in both[1].items() if key in both[0]}}

  def __len__(self) -> int:
    return len(self.first) + len(self.second)

  def read(self, indices: np.ndarray) -> sources.Examples:
    later = indices >= len(self.first)
    if not later.any():
      return self.first.read(indices)
    if later.all():
      return self.second.read(indices - len(self.first))
    parts = (self.first.read(indices[~later]),
             self.second.read(indices[later] - len(self.first)))
    places = np.argsort(np.concatenate([np.flatnonzero(~later), np.flatnonzero(later)]))
    return sources.Examples(*(x if x is None else np.concatenate([x, y])[places]
                       for x, y in zip(*parts, strict=True)))
