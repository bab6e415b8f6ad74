"""Tests the table of config differences."""

import fake_study

from ssl_jax.report import read
from ssl_jax.report.sections import config_differences


def test_fields_are_named_and_seeds_are_left_out(tmp_path):
  fake_study.write(tmp_path)
  (tmp_path / 'simclr/seed0/pretrain/result.json').unlink()  # so that seeds differ
  table = config_differences.table(read.study(tmp_path))
  assert table.header == ('Field', 'SimCLR', 'random', 'supervised')
  assert [[str(c) for c in row] for row in table.rows] == [
      ['method.name', 'simclr', 'random', 'supervised']]


def test_no_rows_before_pretraining_is_done(tmp_path):
  fake_study.write(tmp_path, {'simclr': {}})
  assert not config_differences.table(read.study(tmp_path)).rows
