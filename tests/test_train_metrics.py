"""Tests metrics.jsonl, which in a resumed run is that of an uninterrupted one."""

import math

import jax
import pytest

from ssl_jax import jsonl
from ssl_jax.train import metrics


def write(folder, steps, resume_step=0, tensorboard=False):
  writer = metrics.Writer(folder, resume_step=resume_step, tensorboard=tensorboard)
  for step in steps:
    writer.write(step, {'loss': float(step)})
  writer.close()


def rows(folder):
  return jsonl.read(folder / 'metrics.jsonl')


def test_a_row_has_step_time_and_values(tmp_path):
  write(tmp_path, [1, 2])
  assert [(row['step'], row['loss']) for row in rows(tmp_path)] == [(1, 1.), (2, 2.)]
  first, second = (row['time'] for row in rows(tmp_path))
  assert 0 <= first <= second < 60


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_values_that_json_cannot_hold_are_left_out(tmp_path, value):
  writer = metrics.Writer(tmp_path, resume_step=0, tensorboard=False)
  writer.write(1, {'loss': value, 'rate': 0.5})
  assert rows(tmp_path)[0].keys() == {'step', 'time', 'rate'}


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path):
  write(tmp_path, [1, 2, 3])
  with (tmp_path / 'metrics.jsonl').open('a') as f:
    f.write('{"step": 4, "ti')  # the process was killed here
  write(tmp_path, [3, 4], resume_step=2)
  assert [row['step'] for row in rows(tmp_path)] == [1, 2, 3, 4]
  times = [row['time'] for row in rows(tmp_path)]
  assert times == sorted(times)


def test_the_clock_of_a_resumed_run_starts_at_the_time_already_spent(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text('{"step": 5, "time": 1000}\n'
                                          '{"step": 6, "time": 5000}\n')
  write(tmp_path, [6], resume_step=5)
  assert 1000 <= rows(tmp_path)[-1]['time'] < 1060


def test_nothing_is_written_before_the_first_row(tmp_path):
  write(tmp_path, [1, 2])
  before = (tmp_path / 'metrics.jsonl').read_bytes()
  write(tmp_path, [], resume_step=0)
  assert (tmp_path / 'metrics.jsonl').read_bytes() == before
  write(tmp_path / 'other', [])
  assert not (tmp_path / 'other').exists()


def test_process_0_alone_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  write(tmp_path, [1], tensorboard=True)
  assert not list(tmp_path.iterdir())


def test_tensorboard_has_events_where_it_is_wanted(tmp_path):
  write(tmp_path / 'with', []), (tmp_path / 'with').mkdir()
  write(tmp_path / 'with', [1], tensorboard=True)
  assert list((tmp_path / 'with' / 'tensorboard').glob('events.*'))
  write(tmp_path, [1])
  assert not (tmp_path / 'tensorboard').exists()
