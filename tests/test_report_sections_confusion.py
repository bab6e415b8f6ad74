"""Tests confusion matrices: their numbers, and the evaluation that is shown."""

import dataclasses

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import confusion


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def drawn(study):
  """Returns the axes that hold a matrix."""
  (figure,) = confusion.figures(study)
  return [ax for ax in figure.draw(theme.LIGHT).axes if ax.get_visible()]


def test_all_methods_are_shown_by_one_evaluation(study):
  axes = drawn(study)
  assert [ax.get_title(loc='left') for ax in axes] == [
      'SimCLR, Linear probe', 'random, Linear probe', 'supervised, Linear probe']
  # SimCLR: 72 of 300 of the third class are predicted as the second.
  texts = {(t.get_position(), t.get_text()) for t in axes[0].texts}
  assert texts == {((0.5, 0.5), '100'), ((1.5, 1.5), '100'), ((1.5, 2.5), '24'),
                   ((2.5, 2.5), '76')}


def test_the_alternative_text_has_the_most_frequent_error(study):
  assert ('SimCLR, Linear probe: the most frequent error is <i> predicted as dog '
          '(24.0 %)') in confusion.figures(study)[0].alt


def test_only_the_six_best_methods_are_drawn(tmp_path):
  top1 = {f'm{i}': {'linear': [0.7 + i / 40]} for i in range(8)}
  study = read.study(fake_study.write(tmp_path, top1, published=[]))
  assert [ax.get_title(loc='left') for ax in drawn(study)] == [
      f'm{i}, Linear probe' for i in range(2, 8)]
  assert 'The 6 best methods.' in confusion.figures(study)[0].caption


def test_rotations_are_no_classes(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  # RotNet's highest accuracy is that of rotations.
  assert [ax.get_title(loc='left') for ax in drawn(study)] == [
      'SimCLR, Linear probe', 'RotNet, Linear probe']


def test_a_hundred_classes_have_no_room_for_labels(study):
  result = dataclasses.replace(study.runs[0].results['linear'],
                               confusion=np.eye(100))
  run = dataclasses.replace(study.runs[0], results={'linear': result})
  (ax,) = drawn(dataclasses.replace(study, runs=(run,)))
  assert not ax.texts and not len(ax.get_xticks())


def test_nothing_without_results(tmp_path):
  fake_study.write(tmp_path, {'simclr': {}})
  assert confusion.figures(read.study(tmp_path)) == []
