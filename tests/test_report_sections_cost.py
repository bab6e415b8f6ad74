"""Tests the table of times by hand."""

import json

import fake_study

from ssl_jax.report import read
from ssl_jax.report.sections import cost


def test_times_by_hand(tmp_path):
  simclr, _, supervised = cost.table(read.study(fake_study.write(tmp_path))).rows
  # Pre-training took 100, 120 and 140 s.
  assert [str(c) for c in simclr] == ['SimCLR', '4', '2 min 00 s', '1,500', '2.0 s',
                                      '2.0 s']
  assert str(supervised[-1]) == '–'


def test_cells_of_a_heat_map_share_one_row(tmp_path):
  study = read.study(fake_study.heatmap(tmp_path))
  # Three of the four cells have results, of 100 and 120 s each.
  assert [[str(c) for c in row] for row in cost.table(study).rows] == [
      ['batch 8', '4', '1 min 50 s', '1,500', '2.0 s'],
      ['each of the 4 cells of the heat map', '4', '1 min 50 s', '1,500', '2.0 s']]


def test_data_sets_share_one_column(tmp_path):
  table = cost.table(read.study(fake_study.by_data_set(tmp_path)))
  assert table.header[4:] == ('Linear, all data sets', 'Fine-tuned, all data sets')
  assert [str(cell) for cell in table.rows[0][4:]] == ['4.0 s', '2.0 s']


def test_times_of_evaluations_that_are_not_requested_are_blank(tmp_path):
  table = cost.table(read.study(fake_study.by_labels(tmp_path)))
  assert table.header[4:] == (
      'Rotation accuracy', 'Linear probe', 'Fine-tuning on 1 %',
      'Fine-tuning on 100 %', 'Linear on 1 %')
  assert [[str(c) for c in row[4:]] for row in table.rows] == [
      ['', '2.0 s', '2.0 s', '2.0 s', '2.0 s'], ['2.0 s', '2.0 s', '2.0 s', '–', '']]


def test_throughput_is_the_median_of_the_log_if_the_run_has_no_total(tmp_path):
  folder = fake_study.write(tmp_path) / 'simclr/seed0/pretrain'
  fake_study.write_json(folder / 'result.json', {'config': {}, 'result': {'steps': 4}})
  lines = [{'step': i, 'images_per_second': v} for i, v in enumerate((10, 900, 1000))]
  (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  study = read.study(tmp_path)
  assert cost.images_per_second(study, 'simclr').tolist() == [900, 1500, 1500]
