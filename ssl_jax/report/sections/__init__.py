"""Lists the sections of a report.

A section is a module with the function `content` of `Section`. To add one, write its
file in this folder and add one line to SECTIONS; the page needs no change. A section
must work for a study that is finished, in progress, or a rehearsal, and contribute
nothing if the study has no material for it.
"""

from typing import Protocol

from ssl_jax.report.content import Content, merge
from ssl_jax.report.sections import (
    by_data_set,
    by_labels,
    collapse,
    compression,
    compression_by_layer,
    config_differences,
    confusion,
    cost,
    curves,
    feature_maps,
    files,
    headline,
    heatmap,
    maps,
    neighbours,
    per_class,
    rotations,
    runs,
    views,
)
from ssl_jax.report.study import Study


class Section(Protocol):
  """Describes the interface of a section, which is implemented by a module."""

  @staticmethod
  def content(study: Study) -> Content:
    """Returns the section's tables, sentences and figures for a study.

    It does not draw the figures, so it is fast and also serves texts without figures.
    """


SECTIONS: tuple[Section, ...] = (
    headline,
    by_labels,
    compression,
    compression_by_layer,
    by_data_set,
    heatmap,
    maps,
    neighbours,
    collapse,
    views,
    rotations,
    feature_maps,
    curves,
    config_differences,
    per_class,
    confusion,
    cost,
    runs,
    files,
)


def content(study: Study) -> Content:
  """Returns the material of all sections."""
  return merge([section.content(study) for section in SECTIONS])
