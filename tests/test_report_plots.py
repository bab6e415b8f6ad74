"""Figures: their data, their words, and that they draw in both themes."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import fake_study
import numpy as np
import pytest

from ssl_jax.report import plots, read, theme


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def named(study, name):
  return {plot.name: plot for plot in plots.plots(study)}[name]


def test_mean_curve_spans_what_all_seeds_cover():
  a = np.array([[0, 0], [1, 10], [2, 20]], float)
  b = np.array([[1, 30], [3, 50]], float)
  # b at 2 is 40 by interpolation.
  np.testing.assert_array_equal(plots.mean_curve([a, b]), [[1, 20], [2, 30]])


def test_seeds_that_do_not_overlap_have_no_mean_and_still_draw(tmp_path):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed1/pretrain/metrics.jsonl').write_text(
      '{"step": 90, "epoch": 9, "train/loss": 1}\n'
      '{"step": 91, "epoch": 10, "train/loss": 1}\n')
  plot = named(read.study(tmp_path), 'loss')
  assert plot.draw(theme.LIGHT).axes[0].lines


def test_loss_figure_holds_each_seed_and_their_mean(study):
  ax = named(study, 'loss').draw(theme.LIGHT).axes[0]
  assert ax.get_title(loc='left') == 'SimCLR'
  drawn = [line.get_ydata().tolist() for line in ax.lines]
  assert drawn == [[4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3], [5, 4, 3, 2]]


def test_long_logs_are_thinned_without_moving_their_mean(tmp_path):
  fake_study.write(tmp_path, {'simclr': {'linear': [0.9]}})
  values = np.random.default_rng(0).normal(size=2000)
  (tmp_path / 'simclr/seed0/pretrain/metrics.jsonl').write_text(''.join(
      f'{{"step": {i}, "epoch": {i}, "train/loss": {v}}}\n'
      for i, v in enumerate(values)))
  (line,) = named(read.study(tmp_path), 'loss').draw(theme.LIGHT).axes[0].lines
  assert len(line.get_ydata()) == 400
  assert line.get_ydata().mean() == pytest.approx(values.mean())


def test_alt_texts_tell_the_numbers(study):
  assert 'SimCLR goes from 5 to 2' in named(study, 'loss').alt
  assert 'kNN, online: SimCLR ends at 80.0 %' in named(study, 'online').alt
  assert 'worst on <i> (76.0 %)' in named(study, 'per_class').alt
  assert 'most often <i> taken for dog (24.0 %)' in named(study, 'confusion').alt


def test_confusion_of_the_evaluation_that_each_method_does_best_on(study):
  axes = named(study, 'confusion').draw(theme.LIGHT).axes
  titles = [ax.get_title(loc='left') for ax in axes if ax.get_visible()]
  assert titles == ['SimCLR, Linear probe', 'random, kNN', 'supervised, Linear probe']
  # SimCLR: 72 of 300 of the third class taken for the second.
  texts = {(t.get_position(), t.get_text()) for t in axes[0].texts}
  assert texts == {((0.5, 0.5), '100'), ((1.5, 1.5), '100'), ((1.5, 2.5), '24'),
                   ((2.5, 2.5), '76')}


@pytest.mark.parametrize('look', [theme.LIGHT, theme.DARK])
def test_a_themes_ink_is_in_every_figure(study, look):
  for plot in plots.plots(study):
    picture = theme.render(plot, look, 'svg')
    assert ElementTree.fromstring(picture).tag.endswith('svg')
    assert look.ink.encode() in picture


@pytest.mark.parametrize('suffix', ['svg', 'png'])
def test_the_same_data_gives_the_same_bytes(study, suffix):
  plot = named(study, 'loss')
  once = theme.render(plot, theme.LIGHT, suffix)
  assert once == theme.render(plot, theme.LIGHT, suffix)


def test_a_rehearsal_is_written_into_the_image(tmp_path):
  study = read.study(fake_study.write(tmp_path, rehearsal='Only a rehearsal.'))
  assert b'Only a rehearsal.' in theme.render(named(study, 'loss'), theme.LIGHT, 'svg')


def test_ten_methods_are_told_apart_and_cells_have_no_curves(tmp_path):
  top1 = {f'm{i}': {'linear': [0.9, 0.8]} for i in range(10)} | {
      'pair': {'linear': [0.5]}}
  study = read.study(fake_study.write(
      tmp_path, top1, heatmap={'axes': ['a'], 'cells': {'pair': [0, 0]}}))
  fig = named(study, 'online').draw(theme.LIGHT)
  lines = fig.axes[0].lines
  assert [line.get_label() for line in lines] == [f'm{i}' for i in range(10)]
  assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
  assert len(named(study, 'confusion').draw(theme.LIGHT).axes) == 6


def test_rotations_are_not_taken_for_classes(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  assert 'Linear probe' in named(study, 'per_class').caption
  axes = named(study, 'confusion').draw(theme.LIGHT).axes
  # RotNet is best at rotations, which are no classes.
  assert [ax.get_title(loc='left') for ax in axes] == [
      'SimCLR, Fine-tuning on 100 %', 'RotNet, Linear probe']


def test_a_study_without_results_has_no_figures(tmp_path):
  fake_study.write(tmp_path, {'simclr': {}})
  assert plots.plots(read.study(tmp_path)) == []


def test_a_hundred_classes_get_a_confusion_without_labels_only(study):
  scores = dataclasses.replace(
      study.runs[0].scores['linear'], per_class=np.linspace(0, 1, 100),
      confusion=np.eye(100))
  run = dataclasses.replace(study.runs[0], scores={'linear': scores})
  names = {p.name: p for p in plots.plots(dataclasses.replace(study, runs=(run,)))}
  assert 'per_class' not in names
  (ax, *_) = names['confusion'].draw(theme.LIGHT).axes
  assert not ax.texts and not len(ax.get_xticks())
