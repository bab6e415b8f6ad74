"""Tests the figures of logged values: their data and their alternative texts."""

import json

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import curves


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_mean_curve_spans_what_all_seeds_cover():
  a = np.array([[0, 0], [1, 10], [2, 20]], float)
  b = np.array([[1, 30], [3, 50]], float)
  # b at 2 is 40 by interpolation.
  np.testing.assert_array_equal(curves.mean_curve([a, b]), [[1, 20], [2, 30]])


def test_seeds_that_do_not_overlap_have_no_mean_and_still_draw(tmp_path):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed1/pretrain/metrics.jsonl').write_text(
      '{"step": 90, "epoch": 9, "train/loss": 1}\n'
      '{"step": 91, "epoch": 10, "train/loss": 1}\n')
  figure = curves.loss(read.study(tmp_path))
  assert figure.draw(theme.LIGHT).axes[0].lines


def test_loss_figure_shows_each_seed_and_their_mean(study):
  ax = curves.loss(study).draw(theme.LIGHT).axes[0]
  assert ax.get_title(loc='left') == 'SimCLR'
  drawn = [line.get_ydata().tolist() for line in ax.lines]
  assert drawn == [[4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3], [5, 4, 3, 2]]


def test_long_logs_are_shortened_without_moving_their_mean(tmp_path):
  fake_study.write(tmp_path, {'simclr': {'linear': [0.9]}})
  values = np.random.default_rng(0).normal(size=2000)
  (tmp_path / 'simclr/seed0/pretrain/metrics.jsonl').write_text(''.join(
      f'{{"step": {i}, "epoch": {i}, "train/loss": {v}}}\n'
      for i, v in enumerate(values)))
  (line,) = curves.loss(read.study(tmp_path)).draw(theme.LIGHT).axes[0].lines
  assert len(line.get_ydata()) == 400
  assert line.get_ydata().mean() == pytest.approx(values.mean())


def test_alternative_texts_have_the_numbers(study):
  assert 'SimCLR goes from 5 to 2' in curves.loss(study).alt
  assert 'random ends at 75.0 %' in curves.pretext(study).alt
  assert 'kNN, online: SimCLR ends at 80.0 %' in curves.online(study).alt


def test_an_online_probe_is_explained(tmp_path):
  folder = fake_study.write(tmp_path)
  assert 'online probe' not in curves.online(read.study(folder)).caption
  with (folder / 'simclr/seed0/pretrain/metrics.jsonl').open('a') as f:
    for step in (1, 3):
      f.write(f'{{"step": {step}, "epoch": {step / 2}, "probe/top1": 0.5}}\n')
  assert 'augmented training batches' in curves.online(read.study(folder)).caption


def test_ten_methods_have_ten_styles_and_cells_have_no_curves(tmp_path):
  top1 = {f'm{i}': {'linear': [0.9, 0.8]} for i in range(10)} | {
      'pair': {'linear': [0.5]}}
  study = read.study(fake_study.write(
      tmp_path, top1, heatmap={'axes': ['a'], 'cells': {'pair': [0, 0]}}))
  fig = curves.online(study).draw(theme.LIGHT)
  lines = fig.axes[0].lines
  assert [line.get_label() for line in lines] == [f'm{i}' for i in range(10)]
  assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10


def test_nothing_without_logs(tmp_path):
  fake_study.write(tmp_path, {'simclr': {}})
  assert curves.figures(read.study(tmp_path)) == []


def test_methods_of_one_training_task_share_a_panel(tmp_path):
  folder = fake_study.write(tmp_path)
  path = folder / 'random/seed0/pretrain/result.json'
  record = json.loads(path.read_text())
  record['config']['method']['name'] = 'simclr'
  path.write_text(json.dumps(record))
  axes = curves.loss(read.study(folder)).draw(theme.LIGHT).axes
  assert [ax.get_title(loc='left') for ax in axes] == ['simclr', 'supervised']


def test_learning_rates_and_gradients_are_overlaid(tmp_path):
  fake_study.write(tmp_path, {'a': {'linear': [0.9]}, 'b': {'linear': [0.8]}},
                   published=[])
  for method, scale in (('a', 1), ('b', 2)):
    (tmp_path / method / 'seed0/pretrain/metrics.jsonl').write_text(''.join(
        json.dumps({'step': i, 'epoch': i, 'train/learning_rate': scale * i,
                    'train/grad_norm': 5 - i}) + '\n' for i in range(3)))
  drawing = curves.optimizer(read.study(tmp_path))
  left, right = drawing.draw(theme.LIGHT).axes
  assert [line.get_ydata().tolist() for line in left.lines] == [[0, 1, 2], [0, 2, 4]]
  assert len(right.lines) == 2 and 'b has at most 4' in drawing.alt


def test_measures_without_labels_have_a_panel_each(tmp_path):
  fake_study.write(tmp_path)
  assert curves.validation(read.study(tmp_path)) is None
  for seed in range(3):
    path = tmp_path / f'simclr/seed{seed}/pretrain/metrics.jsonl'
    path.write_text(''.join(json.dumps({
        'step': step, 'epoch': step, 'validation/effective_rank': 10. * step + seed,
        'validation/uniformity': -step}) + '\n' for step in (1, 2)))
  figure = curves.validation(read.study(tmp_path))
  assert 'Effective rank: SimCLR ends at 21.' in figure.alt
  rank, uniformity = figure.draw(theme.LIGHT).axes[:2]
  np.testing.assert_allclose(rank.lines[-1].get_ydata(), [11, 21])
  np.testing.assert_allclose(uniformity.lines[-1].get_ydata(), [-1, -2])
