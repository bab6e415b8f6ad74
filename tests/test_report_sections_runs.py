"""Tests the table of runs by hand."""

import json

import fake_study
import pytest

from ssl_jax.report import read
from ssl_jax.report.sections import runs


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_one_row_for_each_result(study):
  table = runs.table(study)
  assert len(table.rows) == 3 + 3 + 3 + 3 + 1
  assert [str(cell) for cell in table.rows[2]] == [
      'SimCLR', 'Linear probe', '2', 'l2 = 0.001; chosen on validation', '95.00',
      '100.00', '95.00']


def test_settings_are_chosen_only_if_several_were_tried(study):
  texts = {str(row[1]): str(row[3]) for row in runs.table(study).rows}
  assert texts == {'Linear probe': 'l2 = 0.001; chosen on validation',
                   'kNN': 'l2 = 0.001'}


def test_an_edge_of_the_searched_range_is_marked_and_explained(tmp_path):
  path = fake_study.write(tmp_path) / 'simclr/seed0/linear/result.json'
  assert not runs.table(read.study(tmp_path)).notes
  record = json.loads(path.read_text())
  record['result']['at_edge'] = ['l2']
  fake_study.write_json(path, record)
  table = runs.table(read.study(tmp_path))
  assert str(table.rows[0][3]) == 'l2 = 0.001 (edge); chosen on validation'
  assert '(edge)' not in str(table.rows[1][3])
  assert 'wider one' in table.notes[0]


def test_cells_of_a_heat_map_have_rows_of_their_own(tmp_path):
  study = read.study(fake_study.heatmap(tmp_path))
  rows = [[str(c) for c in row[:3]] for row in runs.table(study).rows]
  assert ['crop blur', '1-NN', '1'] in rows and len(rows) == 8


def test_results_are_links(study, tmp_path):
  links = [row[1].link for row in runs.table(study).rows]
  assert links[3] == '../simclr/seed0/knn/result.json'
  assert all((tmp_path / 'report' / link).resolve().is_file() for link in links)
