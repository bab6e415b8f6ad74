"""Tests reading of JSONL files whose last line may be incomplete."""

from ssl_jax import jsonl


def test_lines_that_are_no_objects_are_left_out(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_bytes(b'{"a": 1}\n[1]\n\n{"b": \n{"c": NaN}\n{"d": "\xff"}\n{"e"')
  rows = jsonl.read(path)
  assert [list(row) for row in rows] == [['a'], ['c'], ['d']]


def test_no_file_has_no_rows(tmp_path):
  assert jsonl.read(tmp_path / 'absent') == []
