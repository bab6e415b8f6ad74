"""Tests the line that counts encoded images, with a clock that the test moves."""

import io

import pytest

from ssl_jax.train import counter


class Terminal(io.StringIO):

  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  now = [100.]
  monkeypatch.setattr(counter.time, 'monotonic', lambda: now[0])
  return now


def run(clock, out, seconds, batches):
  """Encodes batches of 8 of 60 images, each in the same time."""
  seen = []
  for batch in counter.counted(range(batches), 60, 8, out):
    clock[0] += seconds
    seen.append(batch)
  assert seen == list(range(batches))
  return out.getvalue()


@pytest.mark.parametrize('out', [io.StringIO(), Terminal()])
def test_short_work_shows_nothing(clock, out):
  assert run(clock, out, 0.1, 8) == ''


def test_a_log_gets_a_line_every_ten_seconds(clock):
  lines = run(clock, io.StringIO(), 4, 8).splitlines()
  assert lines == [f'Encoded {n} of 60 images, 2 images/s' for n in (8, 32, 56)]


def test_a_terminal_gets_one_line_that_is_erased_at_the_end(clock):
  text = run(clock, Terminal(), 4, 8)
  assert '\n' not in text and text.endswith('\r\x1b[K')
  assert text.count('Encoded') == 8 and 'Encoded 60 of 60 images' in text
