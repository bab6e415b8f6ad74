"""Tests the line of progress on a simulated terminal and in a log."""

import fcntl
import io
import logging
import os
import pty
import re
import struct
import termios

import pytest

from ssl_jax.train import progress

ROW = {'loss': 4.043, 'grad_norm': 3.0, 'contrastive_accuracy': 0.2708,
       'contrastive_entropy': 2.5, 'probe/top1': 0.5188}


@pytest.fixture
def clock(monkeypatch):
  """Replaces the time by clock[0], in seconds, which only the test changes."""
  now = [100.]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


class Terminal(io.StringIO):
  """Simulates standard output on a terminal of some columns."""

  def __init__(self, monkeypatch, width):
    super().__init__()
    self.width = width
    monkeypatch.setattr(progress.os, 'get_terminal_size',
                        lambda fd: os.terminal_size((self.width, 24)))

  def isatty(self):
    return True

  def fileno(self):
    return 1

  def rows(self):
    """Returns the rows of the terminal; text that is too long wraps."""
    rows, row, column = [''], 0, 0
    for token in re.findall(r'\x1b\[K|[\s\S]', self.getvalue()):
      if token == '\x1b[K':
        rows[row] = rows[row][:column]
      elif token == '\r':
        column = 0
      elif token == '\n' or column == self.width:
        row, column = row + 1, 0
        rows += [''] * (row == len(rows))
      if token not in ('\x1b[K', '\r', '\n'):
        rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + 1:]
        column += 1
    return rows[:-1] if not rows[-1] else rows


def stage(out, clock, label='simclr seed 0', steps=200):
  """Simulates a run with one second per step; its last line stays."""
  line = progress.Progress(total_steps=steps, steps_per_epoch=5, batch_size=240,
                           label=label, out=out)
  for step in range(1, steps + 1):
    clock[0] += 1.
    line.tick(step)
    if line.due or step == steps:
      line.show(step, ROW)
    yield line
  line.close()


def run(*args, **kwargs):
  for _ in stage(*args, **kwargs):
    pass


@pytest.mark.parametrize('width', [20, 80, 100, 140])
def test_a_terminal_shows_one_line_a_stage(monkeypatch, clock, width):
  out = Terminal(monkeypatch, width)
  for label in ('simclr seed 0', 'supervised seed 0 with a long name'):
    run(out, clock, label=label)
  rows = out.rows()
  assert len(rows) == 2
  assert all('step 200/200' in row and len(row) < width for row in rows)


@pytest.mark.parametrize('width, line', [
    (40, 'step 10/200  epoch 2/40  loss 4.043'),
    (80, 'step 10/200  epoch 2/40  loss 4.043  probe 51.9 %  240 images/s  '
         'ETA 3:10'),
    (100, 'simclr seed 0  step 10/200  epoch 2/40  loss 4.043  probe 51.9 %  '
          '240 images/s  ETA 3:10'),
    (140, 'simclr seed 0  step 10/200  epoch 2/40  loss 4.043  probe 51.9 %  '
          'contrastive accuracy 27.1 %  240 images/s  ETA 3:10')])
def test_what_matters_most_stays(monkeypatch, clock, width, line):
  out = Terminal(monkeypatch, width)
  for _, _ in zip(range(10), stage(out, clock), strict=False):
    pass
  assert out.rows() == [line]


def test_a_resized_terminal_is_followed(monkeypatch, clock):
  out = Terminal(monkeypatch, 140)
  running, lengths = stage(out, clock), []
  for out.width in (140, 60, 80, 140):
    next(running)
    lengths.append(len(out.getvalue().split('\x1b[K')[-1]))
    assert lengths[-1] < out.width
  assert lengths[3] > 80 > lengths[2] > 60


def test_a_log_record_starts_in_the_first_column(monkeypatch, clock):
  out = Terminal(monkeypatch, 80)
  handler = logging.StreamHandler(out)  # standard error on the same terminal
  monkeypatch.setattr(logging.getLogger(), 'handlers', [handler])
  running = stage(out, clock, steps=3)
  next(running)
  logging.getLogger().warning('a bad image')
  assert out.rows() == ['a bad image']
  next(running)
  assert out.rows()[1].startswith('step 2/3')
  logging.getLogger().warning('saved')
  next(running)
  logging.getLogger().warning('another')
  next(running, None)  # closes
  logging.getLogger().warning('after the run')
  *records, last, after = out.rows()
  assert records == ['a bad image', 'saved', 'another']
  assert 'step 3/3' in last and after == 'after the run'
  assert not handler.filters


def test_a_log_has_whole_lines_at_a_sensible_pace(clock):
  out = io.StringIO()
  run(out, clock, steps=3000)
  lines = out.getvalue().splitlines()
  assert '\x1b' not in out.getvalue() and '\r' not in out.getvalue()
  steps = [int(re.search(r'step (\d+)/3000', line)[1]) for line in lines]
  assert steps[:4] == [1, 11, 21, 31] and steps[-1] == 3000
  assert len(steps) < 80 and steps[-2] - steps[-3] > 100
  assert lines[1] == (
      'simclr seed 0  step 11/3000  epoch 2.2/600  loss 4.043  probe 51.9 %  '
      'contrastive accuracy 27.1 %  240 images/s  ETA 49:49')


def test_a_slow_metric_stays_until_it_is_measured_again(clock):
  out = io.StringIO()
  line = progress.Progress(total_steps=40, steps_per_epoch=10, batch_size=8,
                           label='a', out=out)
  line.note({'knn/top1': 0.5})
  line.show(20, {'loss': 1.5, 'temperature': 0.07, 'grad_norm': 1.})
  assert out.getvalue() == (
      'a  step 20/40  epoch 2/4  loss 1.5  knn 50.0 %  temperature 0.07\n')


def test_the_time_of_an_evaluation_is_no_training(clock):
  line = progress.Progress(total_steps=40, steps_per_epoch=10, batch_size=8,
                           label='a', out=io.StringIO())
  for step in range(1, 5):
    clock[0] += 2
    line.tick(step)
  line.pause()
  clock[0] += 1000
  for step in range(5, 7):
    line.tick(step)
    clock[0] += 2
  assert line.images_per_second == pytest.approx(4)


@pytest.mark.parametrize('text, cells', [
    ('loss', 4), ('ü', 1), ('u\u0308', 1), ('犬 seed 0', 9), ('Ａ', 2)])
def test_cells_of_a_text(text, cells):
  assert progress.cells(text) == cells


def test_wide_characters_take_two_columns():
  parts = {'犬と猫と鳥と魚': 1, 'step 1/2': 0}
  assert progress.fitted(parts, 24) == '犬と猫と鳥と魚  step 1/2'
  assert progress.fitted(parts, 23) == 'step 1/2'
  assert progress.fitted({'犬と猫': 0}, 5) == '犬と'


def test_columns_of_a_real_terminal(monkeypatch):
  parent, child = pty.openpty()
  with os.fdopen(parent), os.fdopen(child, 'w') as out:
    for width in (93, 41):
      fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
      assert progress.columns(out) == width
    monkeypatch.setenv('COLUMNS', '77')
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack('HHHH', 0, 0, 0, 0))
    assert progress.columns(out) == 77  # this terminal does not say
  assert progress.columns(io.StringIO()) == 77
