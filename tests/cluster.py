"""Starts runs of several processes, forked from one that has imported JAX.

The import is most of the work of a small run. As a script, this file receives a list of
`Run`s in JSON, runs them in that order and prints their statuses in JSON.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
GRACE = 8  # seconds that the others have once one has failed, as launchers give them


@dataclasses.dataclass(frozen=True)
class Run:
  """Describes processes that call one function, and their differences.

  Attributes:
    name: the name of its logs.
    call: 'module:function', which is called when the flags are parsed and the others
      have joined; or a binary, such as 'ssl_jax.pretrain'.
    arguments: arguments of the function, or flags of the binary.
    devices: the number of devices of each process.
    environments: further variables of each process, besides those of a launcher.
  """
  name: str
  call: str
  arguments: tuple[Any, ...]
  devices: tuple[int, ...]
  environments: tuple[dict[str, str], ...] = ()


def run_all(runs: list[Run], folder: pathlib.Path
            ) -> dict[str, tuple[list[int], list[str]]]:
  """Returns the exit status and output of all processes, by the name of the run."""
  description = json.dumps([dataclasses.asdict(r) for r in runs])
  done = subprocess.run(
      [sys.executable, __file__, description, str(folder)], text=True,
      env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}',
           'JAX_PLATFORMS': 'cpu'}, stdout=subprocess.PIPE, timeout=500, check=True)
  statuses = json.loads(done.stdout.splitlines()[-1])
  return {r.name: (statuses[r.name],
                   [_log(folder, r.name, i).read_text() for i in range(len(r.devices))])
          for r in runs}


def _log(folder: pathlib.Path, name: str, i: int) -> pathlib.Path:
  return pathlib.Path(folder) / f'{name}.{i}.log'


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def _run(run: Run, folder: pathlib.Path) -> list[int]:
  """Forks and waits as a launcher does; after a failure the others are killed."""
  address = f'127.0.0.1:{free_port()}'
  children = {}
  for i, devices in enumerate(run.devices):
    if pid := os.fork():
      children[pid] = i
      continue
    out = os.open(_log(folder, run.name, i), os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1), os.dup2(out, 2)
    if len(run.devices) > 1:
      os.environ |= {'JAX_COORDINATOR_ADDRESS': address, 'JAX_PROCESS_ID': str(i),
                     'JAX_NUM_PROCESSES': str(len(run.devices))}
    os.environ |= run.environments[i] if run.environments else {}
    _become(run, devices)
  statuses, deadline = [None] * len(run.devices), None
  while children:
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid:
      status = os.waitstatus_to_exitcode(status)
      statuses[children.pop(pid)] = status
      deadline = deadline or (status and time.monotonic() + GRACE)
      continue
    if deadline and time.monotonic() > deadline:
      for pid in children:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
  return statuses


def _become(run: Run, devices: int) -> None:
  """Runs the function of one process and exits."""
  import runpy

  import jax
  jax.config.update('jax_num_cpu_devices', devices)
  module, _, function = run.call.partition(':')
  if not function:
    sys.argv = [module, *run.arguments]
    runpy.run_module(module, run_name='__main__', alter_sys=True)
    sys.exit()
  from ssl_jax import cli

  def main():
    cli.setup_jax()
    getattr(importlib.import_module(module), function)(*run.arguments)
  sys.argv = [module]
  cli.run(main)


def main() -> None:
  runs = [Run(**fields) for fields in json.loads(sys.argv[1])]
  print(json.dumps({r.name: _run(r, pathlib.Path(sys.argv[2])) for r in runs}))


if __name__ == '__main__':
  main()
