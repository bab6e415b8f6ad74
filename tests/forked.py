"""Runs binaries as `python -m` does, but imports JAX only once for all of them."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent

# Runs modules as `python -m` does, in forks of one process that has imported JAX and
# other libraries, because imports are most of the work of a command that only prints.
FORKS = '''
import json, os, runpy, sys
import ssl_jax.study
for module, flags, out, err in json.loads(sys.argv[1]):
  if not os.fork():
    for descriptor, path in ((1, out), (2, err)):
      os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv[1:] = flags
    runpy.run_module(f'ssl_jax.{module}', run_name='__main__', alter_sys=True)
    sys.exit()
  print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
'''


def run(environment, folder, commands, cwd=ROOT):
  """Runs commands one after the other.

  Args:
    environment: variables of the environment.
    folder: receives their outputs.
    commands: [(module, flags), ...].
    cwd: the working directory.

  Returns:
    [(status, output, errors), ...].
  """
  paths = [(folder / f'{i}.out', folder / f'{i}.err') for i in range(len(commands))]
  arguments = json.dumps([(*c, str(out), str(err)) for c, (out, err)
                          in zip(commands, paths, strict=True)])
  process = subprocess.run([sys.executable, '-c', FORKS, arguments], cwd=cwd,
                           env=environment, text=True, capture_output=True,
                           timeout=300, check=True)
  statuses = [int(line) for line in process.stdout.split()]
  return [(status, out.read_text(), err.read_text())
          for status, (out, err) in zip(statuses, paths, strict=True)]
