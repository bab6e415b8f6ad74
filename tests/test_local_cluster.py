"""Tests launch/local_cluster.sh: processes, their output, their end."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent.parent / 'launch' / 'local_cluster.sh'
# Each process prints its number.
HELLO = '''
import jax
from ssl_jax.parallel import processes
processes.join_cluster()
print(processes.allgather_text(f'{jax.process_index()} of {jax.device_count()}'))
'''


def start(processes, *command, **environment):
  return subprocess.Popen(
      ['bash', str(SCRIPT), processes, *command], text=True, cwd=SCRIPT.parents[1],
      env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(*arguments, **environment):
  process = start(*arguments, **environment)
  out, err = communicate(process)
  return process.returncode, sorted(out.splitlines()), err


def communicate(process):
  try:
    return process.communicate(timeout=120)
  finally:
    process.kill()


def test_processes_find_each_other():
  status, out, err = run('2', sys.executable, '-c', HELLO, DEVICES='3')
  assert status == 0, err
  said = "['0 of 6', '1 of 6']"
  assert [line for line in out if 'Gloo' not in line] == [f'[0] {said}', f'[1] {said}']


def test_the_status_is_that_of_the_one_that_failed_and_the_others_are_killed():
  status, *_ = run('3', 'bash', '-c', '[ $JAX_PROCESS_ID = 1 ] && exit 7; '
                   'exec sleep 1000', GRACE='0')
  assert status == 7


def test_others_may_end_by_themselves():
  status, out, _ = run('2', 'bash', '-c', 'sleep $JAX_PROCESS_ID; echo saved; exit 75')
  assert status == 75
  assert out == ['[0] saved', '[1] saved']


def test_sigterm_is_passed_on():
  process = start('2', 'bash', '-c', "trap 'echo saved; exit 75' TERM; echo up; "
                  'for i in {1..600}; do sleep 0.1; done')
  seen = {process.stdout.readline() for _ in range(2)}
  assert seen == {'[0] up\n', '[1] up\n'}
  process.send_signal(signal.SIGTERM)
  out, _ = communicate(process)
  assert process.returncode == 75
  assert sorted(out.splitlines()) == ['[0] saved', '[1] saved']


@pytest.mark.parametrize('number', ['', '0', 'two'])
def test_the_number_of_processes_is_needed(number):
  status, _, err = run(number)
  assert status == 2 and 'the first argument is the number of processes' in err
