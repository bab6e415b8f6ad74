r"""Profiles a training step on the GPU: time by kernel and by part of the step.

  python -m benchmarks.gpu.profile_kernels

The command sums a JAX profiler trace of a few dispatches by kernel. It also runs
`python -m ssl_jax.benchmark`, which measures the parts of the step and compares them
with the roofline (ssl_jax/performance/roofline.py); the JSON of that is another file.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import train_step
from benchmarks.harness import cases, sweep, worker

PLAN = {'resnet18': 512, 'resnet50_224': 128}


def trace(results: sweep.Sweep, config: dict[str, Any]) -> dict[str, Any]:
  """Profiles the step of a config, and prints the milliseconds by kind of kernel."""
  limit = max(60, results.left)
  with tempfile.TemporaryDirectory() as folder, worker.Worker(
      train_step.OURS, results.environment, limit, config=config) as program:
    found = program.call('trace', folder=folder, dispatches=2)
  seconds = found['seconds_per_step']
  found['seconds'] = {'median': seconds, 'min': seconds, 'max': seconds}
  for kind, spent in found['by_kind'].items():
    print(f'    {kind:20} {1e3 * spent / found["steps"]:8.4g} ms per step')
  idle = found['idle_seconds'] / found['steps']
  print(f'    {"no kernel running":20} {1e3 * idle:8.4g} ms per step')
  return found


def split(results: sweep.Sweep, config: str, flags: list[str],
          path: pathlib.Path) -> dict[str, Any]:
  """Runs `python -m ssl_jax.benchmark` and prints its table.

  Args:
    results: the sweep, which limits the time.
    config: value of --config.
    flags: further flags.
    path: JSON file of the result.

  Returns:
    The speed, and the name of the JSON file.

  Raises:
    worker.Failed: the command failed or took too long.
  """
  try:
    done = subprocess.run(
        [sys.executable, '-m', 'ssl_jax.benchmark', f'--config={config}',
         f'--output={path.absolute()}', '--repeats=3', *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=max(60, results.left))
  except subprocess.TimeoutExpired as e:
    raise worker.Failed('ssl_jax.benchmark took longer than the time left') from e
  if done.returncode:
    raise worker.Failed(f'ssl_jax.benchmark: {done.stdout.strip().splitlines()[-1]}')
  print(done.stdout)
  result = json.loads(path.read_text())
  return {k: result[k] for k in ('views_per_second', 'mfu', 'roofline_fraction')
          if k in result} | {'views_per_second': result['views_per_second']['median'],
                             'file': path.name}


def main() -> None:
  args = sweep.arguments(__doc__)
  results = sweep.Sweep(args, 'profile_kernels')
  plan = {'resnet18': 2} if args.dry_run else PLAN
  for case, images in plan.items():
    config = cases.config(case, images, log={'steps_per_dispatch':
                                             1 if args.dry_run else 4})
    results.record(f'{case}, {images} images, trace',
                   lambda config=config: trace(results, config))
  for case, images in {} if args.dry_run else plan.items():
    about = cases.CASES[case]
    results.record(f'{case}, {images} images, split', lambda about=about, images=images,
             case=case: split(
                 results, f'configs/{about.config}.py:{about.model}',
                 [f'--config.feed.batch_size={images}'],
                 args.output / f'split_{case}.json'), least=120)


if __name__ == '__main__':
  main()
