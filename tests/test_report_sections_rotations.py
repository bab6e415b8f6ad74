"""Tests the figures of predicted rotations."""

import fake_pictures
import fake_study

from ssl_jax.report import panels, read, theme
from ssl_jax.report.sections import rotations


def test_only_methods_that_predict_rotations_are_shown(tmp_path):
  fake_study.write(tmp_path)
  fake_pictures.write(tmp_path, simclr=fake_pictures.pictures_of(),
                      random=fake_pictures.rotated())
  names = [f.name for f in rotations.content(read.study(tmp_path)).figures]
  assert names == ['rotations_1', 'rotation_accuracy']


def test_bars_are_the_probabilities_and_frames_tell_right_from_wrong():
  drawing = rotations.predictions(panels.Pictured('A', 0, fake_pictures.rotated()))
  assert '7 of 8 rotated images' in drawing.alt
  axes = [ax for ax in drawing.draw(theme.LIGHT).axes if ax.get_visible()]
  heights = [[p.get_height() for p in ax.patches] for ax in axes if ax.patches]
  assert [1, 0, 0, 0] in heights and [0.7, 0.1, 0.1, 0.1] in heights
  frames = [ax.spines['top'].get_edgecolor() for ax in axes if ax.images]
  assert len(set(frames)) == 2 and len(frames) == 8


def test_accuracy_by_class_leaves_out_a_class_without_images():
  drawing = rotations.accuracy([panels.Pictured('A', 0, fake_pictures.rotated())])
  assert 'best on dog (100.0 %), worst on cat (50.0 %)' in drawing.alt
  line = drawing.draw(theme.LIGHT).axes[0].lines[0]
  assert line.get_xdata()[:2].tolist() == [50, 100]
