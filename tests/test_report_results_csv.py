"""Tests the CSV file of results by hand."""

import csv
import io
import json

import fake_study

from ssl_jax.report import read, results_csv


def rows(study):
  return list(csv.DictReader(io.StringIO(results_csv.text(study))))


def test_every_seed_is_as_it_was_measured(tmp_path):
  found = rows(read.study(fake_study.write(tmp_path)))
  assert len(found) == 3 + 3 + 3 + 3 + 1
  simclr = [float(r['top1']) for r in found
            if r['method'] == 'simclr' and r['evaluation'] == 'linear']
  assert simclr == [0.90, 0.91, 0.95]
  assert [r['seed'] for r in found[:3]] == ['0', '1', '2']
  assert found[0]['test_images'] == '300'
  assert json.loads(found[0]['chosen']) == {'l2': 0.001}
  assert float(found[0]['seconds']) == 2.0


def test_every_line_names_labels_and_a_rehearsal(tmp_path):
  found = rows(read.study(
      fake_study.by_labels(tmp_path, rehearsal='Only a rehearsal.')))
  assert {r['rehearsal'] for r in found} == {'Only a rehearsal.'}
  assert {(r['evaluation'], r['train_images']) for r in found} == {
      ('rotation', ''), ('linear', ''), ('finetune_1pct', '500'),
      ('finetune_100pct', '50000'), ('linear_1pct', '500')}


def test_cells_of_a_heat_map_have_lines(tmp_path):
  assert len(rows(read.study(fake_study.heatmap(tmp_path)))) == 8
