"""Runs the measurements of a GPU benchmark one after the other.

Every row is written as soon as it is there, and none is begun for which too little
time is left: what a killed command measured is not lost.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks import train_step
from benchmarks.harness import cases, compare, worker


class Sweep:
  """Examples by name in one JSON file.

  Args:
    args: of `arguments`.
    name: of the file, in `args.output`.
  """

  def __init__(self, args: argparse.Namespace, name: str):
    args.output.mkdir(parents=True, exist_ok=True)
    self.dry_run, self._end = args.dry_run, time.monotonic() + args.seconds
    self._path = args.output / f'{name}.json'
    self.result = {'machine': compare.machine(), 'rows': {}}
    cache = tempfile.gettempdir() + '/ssl_jax_benchmarks'
    # One cache for all processes of all sweeps: most of a start is tuning kernels.
    self.environment = {'JAX_COMPILATION_CACHE_DIR':
                        os.environ.get('JAX_COMPILATION_CACHE_DIR', cache)}

  @property
  def left(self) -> float:
    return self._end - time.monotonic()

  def row(self, name: str, measure: Callable[[], dict[str, Any]],
          least: float = 45) -> dict[str, Any] | None:
    """Measures, prints and writes, if `least` seconds are left; None on failure."""
    if self.left < least and not self.dry_run:
      outcome = {'skipped': f'{self.left:.0f} s were left'}
    else:
      try:
        outcome = measure()
      except worker.Failed as e:
        outcome = {'error': str(e)}
    self.result['rows'][name] = outcome
    self._path.write_text(json.dumps(self.result, indent=1) + '\n')
    print(f'{name:44}', _short(outcome), flush=True)
    return None if {'error', 'skipped'} & outcome.keys() else outcome

  def ours(self, config: dict[str, Any], flags: str = '', samples: int = 3
           ) -> dict[str, Any]:
    """Our step alone, in a process with `flags` for XLA."""
    with worker.Worker(train_step.OURS, self._with(flags), max(60, self.left),
                       config=config) as program:
      seconds = compare.alone(program, samples)
      about = program.call('describe')
    views = config['feed']['batch_size'] * cases.views_per_image(config)
    flops = about['train_flops_per_image'] * config['feed']['batch_size']
    return {'seconds': seconds, 'views_per_second': views / seconds['median'],
            'teraflops': flops / seconds['median'] / 1e12, 'flags': flags,
            'steps_per_dispatch': about['steps_per_dispatch'], 'ours': about}

  def against(self, config: dict[str, Any], variants: list[train_step.Variant],
              rounds: int = 5, flags: str = '') -> dict[str, Any]:
    """Our step and the peer's in turns."""
    result = train_step.run(config, variants, rounds, max(60, self.left),
                            self._with(flags))
    views = config['feed']['batch_size'] * cases.views_per_image(config)
    return {'views_per_second': views / result['ours_seconds']['median'], **result}

  def _with(self, flags: str) -> dict[str, str]:
    given = os.environ.get('XLA_FLAGS', '')
    return self.environment | {'XLA_FLAGS': f'{given} {flags}'.strip()}


def _short(outcome: dict[str, Any]) -> str:
  """One line of a row."""
  if 'error' in outcome or 'skipped' in outcome:
    return next(f'{k}: {outcome[k]}' for k in ('error', 'skipped') if k in outcome)
  said = []
  if 'seconds' in outcome:
    said.append(f'{1e3 * outcome["seconds"]["median"]:.4g} ms')
  if 'views_per_second' in outcome:
    said.append(f'{outcome["views_per_second"]:,.0f} views/s')
  if 'ratio' in outcome:
    said.append(f'peer by ours {compare.spread(outcome["ratio"])}: {outcome["best"]}')
  said += [f'{k} {outcome[k]:.4g}' for k in ('teraflops', 'terabytes_per_second',
                                             'gibibytes') if k in outcome]
  return ', '.join(said)


def arguments(doc: str) -> argparse.Namespace:
  """Flags that all GPU benchmarks have; ends with one sentence where no GPU is."""
  parser = argparse.ArgumentParser(
      description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--output', type=pathlib.Path,
                      default=os.environ.get('OUT', '.'), help='folder of the JSON')
  parser.add_argument('--seconds', type=float, default=540,
                      help='begin nothing that would end later')
  parser.add_argument('--dry_run', action='store_true',
                      help='tiny sizes on whatever is here; the figures mean nothing')
  args = parser.parse_args()
  args.output = pathlib.Path(args.output)
  if not args.dry_run and _backend() != 'gpu':
    parser.exit(2, 'error: JAX sees no GPU here (pip install "jax[cuda13]"); '
                   '--dry_run goes through the motions on a CPU\n')
  return args


def _backend() -> str:
  """Asked in another process: this one must not hold the GPU's memory."""
  asked = subprocess.run(
      [sys.executable, '-c', 'import jax; print(jax.default_backend())'],
      capture_output=True, text=True)
  return asked.stdout.strip()
