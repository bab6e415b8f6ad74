"""Kills one of two processes ten times; the run must end as an undisturbed one.

    python tests/campaigns/preemption.py [--kills=10] [--workdir=runs/soak]

Two processes on loopback train a small encoder on digits. At a random moment after
the run has continued (while it compiles, trains or saves), one of them, chosen at
random, gets SIGKILL, and the same command is given again. At the end all losses must
equal, bit for bit, those of a run that was not interrupted.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

from absl import app, flags

ROOT = pathlib.Path(__file__).parents[2]
_KILLS = flags.DEFINE_integer('kills', 10, 'How often.', lower_bound=1)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the moments and of the processes.')
_WORKDIR = flags.DEFINE_string('workdir', 'runs/soak', 'Folder; it is deleted first.')
_LONGEST = 5.0  # seconds from the first step of a start to its kill


def start(workdir: pathlib.Path) -> subprocess.Popen:
  """Starts the two processes, which continue from where the last two ended."""
  command = [
      'bash', 'launch/local_cluster.sh', '2', 'python', '-m', 'ssl_jax.pretrain',
      '--config=configs/simclr_cifar10.py:resnet20', f'--workdir={workdir}',
      '--config.data.name=digits', '--config.feed.batch_size=64',
      '--config.train.epochs=4', '--config.optim.warmup_epochs=0',
      '--config.train.knn_every_epochs=0',
      '--config.log.every_steps=1', '--config.log.checkpoint_every_epochs=0.1']
  log = (workdir.parent / f'{workdir.name}.log').open('a')
  return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log,
                          env={**os.environ, 'GRACE': '5'})


def losses(workdir: pathlib.Path) -> list[float]:
  path = workdir / 'metrics.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  return [json.loads(line)['train/loss'] for line in lines if line.endswith('}')]


def victims(launcher: subprocess.Popen) -> list[int]:
  """Returns the process ids of the processes that train."""
  children = subprocess.run(['ps', '--ppid', str(launcher.pid), '-o', 'pid=,args='],
                            text=True, capture_output=True).stdout.splitlines()
  return [int(line.split()[0]) for line in children
          if line.split()[1:4] == ['python', '-m', 'ssl_jax.pretrain']]


def disturbed(workdir: pathlib.Path, kills: int, rng: random.Random) -> None:
  """Runs to the end in spite of `kills` kills."""
  for i in range(kills):
    before, launcher = len(losses(workdir)), start(workdir)
    while len(losses(workdir)) in (0, before):
      if launcher.poll() is not None:
        raise SystemExit(f'it ended with {launcher.returncode}; see {workdir}.log')
      time.sleep(0.1)
    time.sleep(rng.uniform(0, _LONGEST))
    alive = victims(launcher)
    if not alive:
      raise SystemExit('the run was over before the last kill')
    os.kill(rng.choice(alive), signal.SIGKILL)
    print(f'kill {i + 1}: after {len(losses(workdir))} steps, status {launcher.wait()}',
          flush=True)
  if status := start(workdir).wait():
    raise SystemExit(f'the last start ended with {status}; see {workdir}.log')


def main(argv: list[str]) -> None:
  del argv
  folder = pathlib.Path(_WORKDIR.value).absolute()
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  disturbed(folder / 'disturbed', _KILLS.value, random.Random(_SEED.value))
  if status := start(folder / 'undisturbed').wait():
    raise SystemExit(f'the undisturbed run ended with {status}')
  a, b = losses(folder / 'undisturbed'), losses(folder / 'disturbed')
  same = sum(x == y for x, y in zip(a, b, strict=False))
  print(f'{len(a)} and {len(b)} steps, {same} losses equal')
  if a != b:
    raise SystemExit('the runs differ')


if __name__ == '__main__':
  app.run(main)
