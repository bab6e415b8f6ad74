"""Runs the measurements of a GPU benchmark one after the other.

Every result is written at once, so that the results of a killed command are not lost. A
measurement is not begun if too little time is left for it.
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
  """Writes results by name to one JSON file.

  Args:
    args: the result of `arguments`.
    name: name of the file in the folder `args.output`, without '.json'.
  """

  def __init__(self, args: argparse.Namespace, name: str):
    args.output.mkdir(parents=True, exist_ok=True)
    self.dry_run, self._end = args.dry_run, time.monotonic() + args.seconds
    self._path = args.output / f'{name}.json'
    self.result = {'machine': compare.machine(), 'rows': {}}
    cache = tempfile.gettempdir() + '/ssl_jax_benchmarks'
    # All processes of all sweeps share one cache, because XLA tunes kernels for most of
    # the time of a start.
    self.environment = {'JAX_COMPILATION_CACHE_DIR':
                        os.environ.get('JAX_COMPILATION_CACHE_DIR', cache)}

  @property
  def left(self) -> float:
    """The seconds that are left."""
    return self._end - time.monotonic()

  def record(self, name: str, measure: Callable[[], dict[str, Any]],
             least: float = 45) -> dict[str, Any] | None:
    """Measures something, and prints and writes the result.

    Args:
      name: name of the result.
      measure: returns the result.
      least: the measurement is skipped if fewer seconds are left.

    Returns:
      The result; None if it failed or was skipped.
    """
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
    """Measures our step alone.

    Args:
      config: plain config of a case.
      flags: XLA flags of the process.
      samples: number of samples.
    """
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
    """Compares our step with that of a peer.

    Args:
      config: plain config of a case.
      variants: variants of the peer; the fastest is compared.
      rounds: number of rounds.
      flags: XLA flags of our process.
    """
    result = train_step.run(config, variants, rounds, max(60, self.left),
                            self._with(flags))
    views = config['feed']['batch_size'] * cases.views_per_image(config)
    return {'views_per_second': views / result['ours_seconds']['median'], **result}

  def _with(self, flags: str) -> dict[str, str]:
    given = os.environ.get('XLA_FLAGS', '')
    return self.environment | {'XLA_FLAGS': f'{given} {flags}'.strip()}


def _short(outcome: dict[str, Any]) -> str:
  """Formats a result in one line."""
  if 'error' in outcome or 'skipped' in outcome:
    return next(f'{k}: {outcome[k]}' for k in ('error', 'skipped') if k in outcome)
  figures = []
  if 'seconds' in outcome:
    figures.append(f'{1e3 * outcome["seconds"]["median"]:.4g} ms')
  if 'views_per_second' in outcome:
    figures.append(f'{outcome["views_per_second"]:,.0f} views/s')
  if 'ratio' in outcome:
    figures.append(f'peer / ours {compare.spread(outcome["ratio"])}: {outcome["best"]}')
  figures += [f'{k} {outcome[k]:.4g}' for k in ('teraflops', 'terabytes_per_second',
                                                'gibibytes') if k in outcome]
  return ', '.join(figures)


def arguments(doc: str) -> argparse.Namespace:
  """Parses the flags of all GPU benchmarks, and ends the program without a GPU."""
  parser = argparse.ArgumentParser(
      description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--output', type=pathlib.Path,
                      default=os.environ.get('OUT', '.'), help='folder of the JSON')
  parser.add_argument('--seconds', type=float, default=540,
                      help='most seconds of the command; a measurement that needs '
                      'more than are left is skipped')
  parser.add_argument('--dry_run', action='store_true',
                      help='run tiny sizes on any device, to test the command; the '
                      'figures have no meaning')
  args = parser.parse_args()
  args.output = pathlib.Path(args.output)
  if not args.dry_run and _backend() != 'gpu':
    parser.exit(2, "error: JAX finds no GPU; on a machine with a GPU run pip install "
                   "-e '.[cuda]', or test the command on a CPU by --dry_run\n")
  return args


def _backend() -> str:
  """Returns JAX's backend; it asks another process, so that this one takes no GPU."""
  asked = subprocess.run(
      [sys.executable, '-c', 'import jax; print(jax.default_backend())'],
      capture_output=True, text=True)
  return asked.stdout.strip()
