"""Tests SIGTERM and Ctrl-C: which a listener records, and which end a process."""

import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from ssl_jax.parallel import preemption

ROOT = pathlib.Path(__file__).parent.parent
# A binary whose main thread executes C code, in each of the states of a run.
BUSY = '''
import ctypes, signal, sys
from ssl_jax.parallel import preemption

class Alone:  # stands in for JAX, which takes seconds to import
  process_count = staticmethod(lambda: 1)
sys.modules['jax'] = Alone

preemption.install_handlers()
with preemption.Listener(lambda: STEP) as listener:
  if LISTENS:
    listener.listen()
  print('ready', flush=True)
  while True:
    ctypes.CDLL(None).pause()
'''


@pytest.fixture(autouse=True)
def python_hears_ctrl_c():
  """Shells start background jobs with SIGINT ignored, and Python keeps that."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def test_signal_handler_is_put_back():
  before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  with preemption.Listener() as listener:
    listener.listen()
    assert not listener.reached()
    os.kill(os.getpid(), signal.SIGTERM)
    assert listener.reached() and listener.cause == 'SIGTERM'
  assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_nothing_is_noted_before_there_is_something_to_save():
  with pytest.raises(KeyboardInterrupt), preemption.Listener():
    signal.raise_signal(signal.SIGINT)


def test_a_second_ctrl_c_interrupts_a_library():
  with pytest.raises(KeyboardInterrupt), preemption.Listener() as listener:
    listener.listen()
    signal.raise_signal(signal.SIGINT)
    assert listener.reached() and listener.cause == 'Ctrl-C'
    signal.raise_signal(signal.SIGINT)


def test_a_signal_that_came_too_late_is_passed_on():
  with pytest.raises(KeyboardInterrupt), preemption.Listener() as listener:
    listener.listen()
    assert not listener.reached()
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('listens, step, names, status, sentence', [
    (False, None, ['SIGINT'], 130, 'stopped by Ctrl-C; nothing had to be saved'),
    (False, None, ['SIGTERM'], 143, 'stopped by SIGTERM; nothing had to be saved'),
    (True, 4, ['SIGTERM', 'SIGINT', 'SIGTERM', 'SIGINT'], 75,
     'stopped by a second Ctrl-C; step 4 is saved, later ones are not'),
    (True, None, ['SIGINT', 'SIGINT'], 130,
     'stopped by a second Ctrl-C; nothing is saved')])
def test_a_busy_process_ends_at_once_in_one_sentence(
    listens, step, names, status, sentence):
  code = f'LISTENS, STEP = {listens}, {step}\n{BUSY}'
  process = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  assert process.stdout.readline() == 'ready\n'
  interrupts = 0
  for name in names:
    process.send_signal(getattr(signal, name))
    interrupts += name == 'SIGINT'
    if listens and name == 'SIGINT' and interrupts == 1:  # else both could be one
      assert process.stderr.readline() == '\n'
      assert 'a second Ctrl-C leaves at once' in process.stderr.readline()
  _, err = process.communicate(timeout=60)
  assert process.returncode == status
  assert err.strip().startswith(sentence) and len(err.strip().splitlines()) == 1


def test_jax_receives_every_number_for_any_length_of_a_dispatch(monkeypatch):
  told = []
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(multihost_utils, 'reached_preemption_sync_point', told.append)
  for _ in range(2):  # two loops of one process
    with preemption.Listener() as listener:
      listener.listen()
      listener.reached(), listener.reached()
  assert np.diff(told).tolist() == [1, 1, 1]
