"""Runs the console command: `ssl-jax pretrain` is `python -m ssl_jax.pretrain`."""

import ast
import importlib.util
import pathlib
import runpy
import sys

from ssl_jax import errors

COMMANDS = ('pretrain', 'evaluate', 'linear_probe', 'finetune', 'compress', 'embed',
            'export', 'pictures', 'study', 'make_report', 'prepare_data', 'benchmark')


def main() -> None:
  """Runs the binary that the first argument names, with the others as its flags."""
  if len(sys.argv) < 2 or sys.argv[1] in ('--help', '-h', 'help'):
    print(usage())
    return
  name = sys.argv[1].replace('-', '_')
  if name not in COMMANDS:
    print(f'error: {sys.argv[1]!r} is not a command; accepted are '
          f'{", ".join(COMMANDS)}{errors.suggestion(name, COMMANDS)}', file=sys.stderr)
    sys.exit(2)
  sys.argv = [f'ssl-jax {name}', *sys.argv[2:]]
  runpy.run_module(f'ssl_jax.{name}', run_name='__main__', alter_sys=True)


def usage() -> str:
  """Returns the list of commands with the first sentence of each."""
  lines = ['ssl-jax COMMAND --flag=value ...', '', 'Commands:']
  for name in COMMANDS:
    source = pathlib.Path(importlib.util.find_spec(f'ssl_jax.{name}').origin)
    doc = ast.get_docstring(ast.parse(source.read_text(encoding='utf-8')))
    lines.append(f'  {name:<13} {doc.splitlines()[0]}')
  return '\n'.join([*lines, '', '`ssl-jax COMMAND --help` shows the flags.'])
