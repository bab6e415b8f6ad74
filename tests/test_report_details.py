"""Tables of detail and the CSV file, by hand."""

import csv
import io
import json

import fake_study
import pytest

from ssl_jax.report import details, read


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_csv_has_every_seed_as_it_was_measured(study):
  rows = list(csv.DictReader(io.StringIO(details.to_csv(study))))
  assert len(rows) == 3 + 3 + 3 + 3 + 1
  simclr = [float(r['top1']) for r in rows
            if r['method'] == 'simclr' and r['evaluation'] == 'linear']
  assert simclr == [0.90, 0.91, 0.95]
  assert [r['seed'] for r in rows[:3]] == ['0', '1', '2']
  assert rows[0]['test_images'] == '300'
  assert json.loads(rows[0]['chosen']) == {'l2': 0.001}
  assert float(rows[0]['seconds']) == 2.0


def test_per_class_by_hand(study):
  table = details.per_class(study, 'linear')
  assert table.header == ('Class', 'SimCLR', 'random', 'supervised')
  # SimCLR's third class: 30, 27 and 15 of 100 wrong; mean 76, variance 63.
  assert [str(c) for c in table.rows[2]] == [
      '<i>', '76.0 ± 7.9 (3)', '13.0 ± 3.0 (3)', '79.0 (1)']


def test_a_class_without_test_images_is_a_dash(tmp_path):
  fake_study.write(tmp_path)
  path = tmp_path / 'supervised/seed0/linear/result.json'
  record = json.loads(path.read_text())
  record['result']['test']['per_class'][0] = None
  fake_study.put(path, record)
  table = details.per_class(read.study(tmp_path), 'linear')
  assert str(table.rows[0][3]) == '–'


def test_times_by_hand(study):
  simclr, _, supervised = details.times(study).rows
  # 100, 120 and 140 s of pre-training.
  assert [str(c) for c in simclr] == ['SimCLR', '4', '2 min 00 s', '1,500', '2.0 s',
                                      '2.0 s']
  assert str(supervised[-1]) == '–'


@pytest.mark.parametrize('seconds, text', [
    (0, '0.0 s'), (9.94, '9.9 s'), (9.97, '10 s'), (59.6, '1 min 00 s'),
    (200, '3 min 20 s'), (3599.7, '1 h 00 min'), (7500, '2 h 05 min')])
def test_duration(seconds, text):
  assert details.duration(seconds) == text


def test_differences_names_fields_and_leaves_out_seeds(study):
  table = details.differences(study)
  assert [[str(c) for c in row] for row in table.rows] == [
      ['method.name', 'simclr', 'random', 'supervised']]


def test_cells_of_a_heat_map_share_one_row_of_times_and_have_their_own_runs(tmp_path):
  study = read.study(fake_study.grid(tmp_path))
  # Three of the four are there, with 100 and 120 s each.
  assert [[str(c) for c in row] for row in details.times(study).rows] == [
      ['batch 8', '4', '1 min 50 s', '1,500', '2.0 s'],
      ['each of the 4 cells of the heat map', '4', '1 min 50 s', '1,500', '2.0 s']]
  runs = [[str(c) for c in row[:3]] for row in details.every_run(study).rows]
  assert ['crop blur', '1-NN', '1'] in runs and len(runs) == 8
  assert len(details.to_csv(study).splitlines()) == 1 + 8


def test_times_are_blank_where_an_evaluation_is_not_asked_for(tmp_path):
  table = details.times(read.study(fake_study.by_labels(tmp_path)))
  assert table.header[4:] == (
      'Rotations told apart', 'Linear probe', 'Fine-tuning on 1 %',
      'Fine-tuning on 100 %', 'Linear on 1 %')
  assert [[str(c) for c in row[4:]] for row in table.rows] == [
      ['', '2.0 s', '2.0 s', '2.0 s', '2.0 s'], ['2.0 s', '2.0 s', '2.0 s', '–', '']]


def test_csv_tells_labels_and_a_rehearsal_in_every_line(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path, rehearsal='Only a rehearsal.'))
  rows = list(csv.DictReader(io.StringIO(details.to_csv(study))))
  assert {r['rehearsal'] for r in rows} == {'Only a rehearsal.'}
  assert {(r['evaluation'], r['train_images']) for r in rows} == {
      ('rotation', ''), ('linear', ''), ('finetune_1pct', '500'),
      ('finetune_100pct', '50000'), ('linear_1pct', '500')}


def test_classes_are_those_that_most_methods_are_told_apart_by(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  # Rotations come first in the study, and no subset before all labels.
  assert study.about_classes() == ('linear', 'finetune_100pct', 'finetune_1pct',
                                   'linear_1pct')
  assert details.per_class(study, 'linear').header == ('Class', 'SimCLR', 'RotNet')
