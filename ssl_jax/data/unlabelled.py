"""Hides the labels of a data set, to use it as data without labels."""

import dataclasses

import numpy as np

from ssl_jax.data import sources


@dataclasses.dataclass(frozen=True, eq=False)
class Unlabelled(sources.Subset):
  """All examples of another source, without their labels; see `sources.Subset`."""

  class_names: tuple[str, ...] = ()

  @property
  def labels(self) -> np.ndarray:
    return np.full(len(self), -1, np.int32)

  def read(self, indices: np.ndarray) -> sources.Examples:
    examples = super().read(indices)
    return examples._replace(labels=np.full_like(examples.labels, -1))


def hide_labels(source: sources.Source) -> sources.Source:
  """Returns the same images, all with the label -1; `Arrays` if the source is."""
  if isinstance(source, sources.Arrays):
    return dataclasses.replace(source, labels=np.full_like(source.labels, -1),
                               class_names=())
  return Unlabelled(source, np.arange(len(source)), source.name)
