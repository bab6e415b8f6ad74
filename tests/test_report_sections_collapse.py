"""Tests the warnings of collapse and the table of the feature space."""

import fake_pictures
import numpy as np
import pytest

from ssl_jax.report import panels, theme
from ssl_jax.report.sections import collapse


def shown(classes=10, **values):
  made = fake_pictures.pictures_of(tuple(map(str, range(classes))))
  quality = {**made.quality, **{f'{k}/after': np.float64(v) for k, v in values.items()}}
  return panels.Pictured('A', 0, fake_pictures.pictures_of(
      made.class_names, quality=quality))


@pytest.mark.parametrize('rank, uniformity, words', [
    (6, -2, ['No method has collapsed']),
    (4, -2, ['vary in 4.0 of 3 directions, too few for 10 classes']),
    (6, -0.001, ['almost the same direction (uniformity -0.001']),
    (1, 0, ['almost the same direction', 'vary in 1.0 of'])])
def test_warnings(rank, uniformity, words):
  found = list(collapse.warnings([shown(effective_rank=rank, uniformity=uniformity)]))
  assert len(found) == len(words)
  assert all(w in sentence for w, sentence in zip(words, found, strict=True))


def test_the_table_has_both_states():
  (row,) = collapse.table([shown(effective_rank=6.04, uniformity=-1.5)]).rows
  assert [cell.value for cell in row] == ['A', '3', '3.0 → 6.0', '0.500 → 0.500',
                                          '−2.00 → −1.50']


def test_the_spectrum_is_relative_to_the_largest_value():
  ax = collapse.spectra([shown()]).draw(theme.LIGHT).axes[0]
  assert ax.lines[0].get_ydata().tolist() == [1, 0.5, 0.25]
  assert ax.lines[1].get_ydata().tolist() == [1, 0.5, 0.25]
