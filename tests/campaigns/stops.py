"""Stops a run thirty times in every way; it must end as if it was not interrupted.

    python tests/campaigns/stops.py [--stops=30] [--seed=0] [--workdir=runs/stops]

A tiny encoder is pre-trained with SimCLR on synthetic images, with an online kNN and a
checkpoint every few steps. Each time it runs it is stopped: by SIGTERM, SIGTERM twice,
Ctrl-C or SIGKILL, at a random moment of its training, while a checkpoint is written,
when the online kNN begins, or while it starts. The same command is then given again.
After each stop the newest checkpoint must be at least as new as before, and it must be
the one that the run reported as saved, if it could report one. When a run ends, all its
logged values and the hash of its final state must be those of a run that was not
interrupted; then the next run begins, until enough stops were made. Otherwise this
script ends with status 1.

Runs are forked from this process, which has imported the libraries that they need,
because imports take longer than the rest. (tests/campaigns/preemption.py kills one of
two processes.)
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint as ocp

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # where the next two are

import stub_encoder  # noqa: E402
import tiny  # noqa: E402

from ssl_jax import cli, errors  # noqa: E402
from ssl_jax.jobs import pretrain  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
FORK = multiprocessing.get_context('fork')
Process = multiprocessing.context.ForkProcess
SIGNALS = {'SIGTERM': (signal.SIGTERM,), 'SIGTERM twice': (signal.SIGTERM,) * 2,
           'Ctrl-C': (signal.SIGINT,), 'SIGKILL': (signal.SIGKILL,)}
MOMENTS = ('at random', 'during a write', 'during the kNN', 'while starting')
Plan = collections.deque[tuple[str, str]]  # ways and moments of the stops to come
_LONGEST = 4.0  # seconds from the first step of a start to its stop at random
_STARTING = 5.0  # seconds from a start to a stop before it trains, or just after
_EVALUATES = 18  # steps from one online kNN to the next
_EPOCHS = 40  # of 5 steps
_PATIENCE = 300  # seconds within which a start must have begun, or ended


class Failed(Exception):
  """A stop lost a checkpoint, or the final state is not the expected one."""


class Stop(NamedTuple):
  """One line of the table.

  Attributes:
    run: how many runs were begun before.
    way: a key of `SIGNALS`.
    moment: one of `MOMENTS`.
    before: the newest checkpoint when the process was started; -1 is none.
    steps: how many were logged when the signal was sent.
    status: of the process.
    after: the newest checkpoint once it has ended.
  """
  run: int
  way: str
  moment: str
  before: int
  steps: int
  status: int
  after: int


def start(workdir: pathlib.Path) -> Process:
  """Starts a run, which continues from where it was stopped."""
  process = FORK.Process(target=_pretrain, args=(workdir,))
  process.start()
  return process


def _pretrain(workdir: pathlib.Path) -> None:
  """Turns this process into a binary, with its handlers and exit statuses."""
  os.setsid()
  log = os.open(workdir.with_suffix('.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
  os.dup2(log, 1), os.dup2(log, 2)
  os.chdir(ROOT)
  os.environ |= {'JAX_PLATFORMS': 'cpu',
                 'JAX_COMPILATION_CACHE_DIR': str(workdir.parent / 'cache'),
                 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
  sys.argv = ['pretrain']
  cli.run(lambda: _train(workdir))


def _train(workdir: pathlib.Path) -> None:
  cli.setup_jax()
  fields = tiny.config(epochs=_EPOCHS, knn_every_epochs=_EVALUATES / 5)
  fields['log']['checkpoint_every_epochs'] = 2.4  # 12 steps
  with stub_encoder.registered():
    pretrain.run({**fields, 'model': {'name': 'stub'}}, workdir)


def ended(process: Process) -> int:
  """Waits for the end; returns the exit status, or minus the signal."""
  process.join(_PATIENCE)
  if process.exitcode is None:
    process.kill()
    raise Failed('a process did not end')
  return process.exitcode


def rows(workdir: pathlib.Path) -> list[dict[str, float]]:
  """Returns the metrics so far, without an incomplete last line."""
  path = workdir / 'metrics.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  return [json.loads(line) for line in lines if line.endswith('}')]


def losses(workdir: pathlib.Path) -> list[tuple[int, str, float]]:
  """Returns the step, name and value of all metrics except times."""
  return [(row['step'], name, value) for row in rows(workdir)
          for name, value in row.items() if '/' in name]


def newest(workdir: pathlib.Path) -> int:
  folder = workdir / 'checkpoints'
  names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
  return max((int(name) for name in names if name.isdigit()), default=-1)


def final_state(workdir: pathlib.Path) -> str:
  """Returns a hash of all arrays of the newest checkpoint."""
  read, write = FORK.Pipe(duplex=False)
  process = FORK.Process(target=_hash_state, args=(workdir, write))
  process.start()  # a process that has used JAX could not be forked
  digest = read.recv()
  ended(process)
  return digest


def _hash_state(workdir: pathlib.Path, out: connection.Connection) -> None:
  folder = workdir / 'checkpoints' / str(newest(workdir)) / 'state'
  digest = hashlib.sha256()
  for path, leaf in sorted(_leaves(ocp.StandardCheckpointer().restore(folder))):
    digest.update(path.encode() + np.asarray(leaf).tobytes())
  out.send(digest.hexdigest()[:16])


def _leaves(tree: Any, path: str = '') -> Iterator[tuple[str, np.ndarray]]:
  if isinstance(tree, dict | list | tuple):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
      yield from _leaves(value, f'{path}/{key}')
  elif tree is not None:
    yield path, tree


def wait_for(process: Process, happened: Callable[[], Any]) -> bool:
  """Waits for a condition; returns False if the process ended before."""
  deadline = time.monotonic() + _PATIENCE
  while not happened():
    if process.exitcode is not None:
      return False
    if time.monotonic() > deadline:
      process.kill()
      raise Failed('a start did not get anywhere')
    time.sleep(0.01)
  return True


def wait_until(process: Process, workdir: pathlib.Path, moment: str,
               rng: random.Random) -> bool:
  """Waits for the moment of a stop; returns False if the run ended before."""
  if moment == 'while starting':
    time.sleep(rng.uniform(0, _STARTING))
    return process.exitcode is None
  metrics = workdir / 'metrics.jsonl'
  changed = lambda: metrics.stat().st_mtime_ns if metrics.exists() else 0
  started, resumed = changed(), newest(workdir)
  last = lambda: next(reversed(rows(workdir)), {'step': -1})
  # The run handles signals after it has written its first metrics, before the second.
  trains = lambda: changed() != started and last()['step'] >= max(resumed, 0) + 2
  evaluates = lambda: last()['step'] % _EVALUATES == 0 and 'train/loss' in last()
  writes = lambda: any((workdir / 'checkpoints').glob('*tmp*'))
  if not wait_for(process, trains):
    return False
  if moment == 'at random':
    time.sleep(rng.uniform(0, _LONGEST))
    return process.exitcode is None
  return wait_for(process, writes if moment == 'during a write' else evaluates)


def stop(process: Process, way: str, rng: random.Random) -> int:
  """Sends the signals; returns the status with which the process ends."""
  for number in SIGNALS[way]:
    if process.exitcode is None:
      os.kill(process.pid, number)
    time.sleep(rng.uniform(0.01, 0.2))
  return ended(process)


def check(row: Stop, log: str) -> None:
  """Raises `Failed` if a stop lost a saved state."""
  if row.after < row.before:
    raise Failed(f'the newest checkpoint was {row.before} and is {row.after}')
  # 0 means the end of the run. Without a state to save, a signal ends it at once.
  accepted = [0, -signal.SIGKILL, 128 + signal.SIGKILL] if row.way == 'SIGKILL' else [
      0, errors.PREEMPTED]
  if row.moment == 'while starting':
    accepted += [sign * number + add for number in SIGNALS[row.way]
                 for sign, add in ((-1, 0), (1, 128))]
  if row.status not in accepted:
    raise Failed(f'the status is {row.status}; accepted are {accepted}')
  said = re.findall(r'step (\d+) is saved', log)
  if row.status == errors.PREEMPTED and int(said[-1]) != row.after:
    raise Failed(f'it says that step {said[-1]} is saved, but step {row.after} is')


def disturb(workdir: pathlib.Path, run: int, plan: Plan, rng: random.Random) -> None:
  """Stops one run repeatedly, until it ends or the list of stops does."""
  log = workdir.with_suffix('.log')
  while plan and not (workdir / 'result.json').exists():
    before, told = newest(workdir), log.stat().st_size if log.exists() else 0
    process = start(workdir)
    if not wait_until(process, workdir, plan[0][1], rng):
      if status := ended(process):
        raise Failed(f'a start ended with status {status}; see {log}')
      return
    way, moment = plan.popleft()
    steps = len({row['step'] for row in rows(workdir)})
    row = Stop(run, way, moment, before, steps, stop(process, way, rng),
               newest(workdir))
    print(f'{len(plan):4} {run:3}  {way:13} {moment:18} {row.status:6} '
          f'{steps:5} {before:5} ->{row.after:4}', flush=True)
    check(row, log.read_text()[told:])
  if ended(start(workdir)):
    raise Failed(f'the last start failed; see {log}')


def make_plan(stops: int, rng: random.Random) -> Plan:
  """Returns all ways at all moments, about equally often, in random order."""
  pairs = [(way, moment) for moment in MOMENTS for way in SIGNALS]
  plan = [pairs[i % len(pairs)] for i in range(stops)]
  rng.shuffle(plan)
  return collections.deque(plan)


def campaign(folder: pathlib.Path, stops: int, rng: random.Random) -> None:
  """Raises `Failed` unless all runs end as the uninterrupted one."""
  alone = folder / 'undisturbed'
  if status := ended(start(alone)):
    raise Failed(f'the undisturbed run ended with {status}; see {alone}.log')
  expected = losses(alone), final_state(alone)
  print(f'undisturbed: {newest(alone)} steps, {len(expected[0])} values logged, state '
        f'{expected[1]}')
  print('left run  way           moment             status steps  saved', flush=True)
  plan, run = make_plan(stops, rng), 0
  while plan:
    workdir = folder / f'run{run}'
    disturb(workdir, run, plan, rng)
    if (losses(workdir), final_state(workdir)) != expected:
      raise Failed(f'run {run} does not end as the undisturbed one')
    print(f'run {run} ended as the undisturbed one', flush=True)
    run += 1
  print(f'{stops} stops in {run} runs; nothing was lost')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--stops', type=int, default=30)
  parser.add_argument('--seed', type=int, default=0, help='of ways and moments')
  parser.add_argument('--workdir', default='runs/stops', help='deleted first')
  args = parser.parse_args()
  folder = pathlib.Path(args.workdir).absolute()
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  try:
    campaign(folder, args.stops, random.Random(args.seed))
  except Failed as e:
    raise SystemExit(f'failed: {e}') from e


if __name__ == '__main__':
  main()
