"""Tests the table of files, and that its links lead to files."""

import fake_study

from ssl_jax.report import read
from ssl_jax.report.sections import files


def test_links_lead_to_files(tmp_path):
  rows = files.table(read.study(fake_study.write(tmp_path))).rows
  assert [str(cell) for cell in rows[1]] == [
      'SimCLR', '1', 'simclr/seed1', 'config.json', 'metrics.jsonl']
  links = [cell.link for row in rows for cell in row if cell.link]
  assert len(rows) == 3 + 3 + 1 and len(links) == 3 * len(rows)
  assert all((tmp_path / 'report' / link).resolve().exists() for link in links)


def test_a_file_that_does_not_exist_is_a_dash(tmp_path):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed0/pretrain/config.json').unlink()
  (row, *_) = files.table(read.study(tmp_path)).rows
  assert (str(row[3]), row[3].link) == ('–', '')


def test_no_rows_before_anything_is_written(tmp_path):
  assert not files.table(read.study(fake_study.write(tmp_path, {'simclr': {}}))).rows
