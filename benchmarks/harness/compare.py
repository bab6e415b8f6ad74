"""Compares the seconds per step of two programs, each in a process of its own.

`ssl_jax/performance/timing.py` samples a program in its own process. This module uses
its functions, and alternates between processes, since two frameworks cannot share one.
"""

import os
from typing import Any

from benchmarks.harness import worker
from ssl_jax.performance import timing


def steps_per_sample(program: worker.Worker) -> int:
  """Returns the number of steps of a sample, after the program has warmed up."""
  program.call('run', steps=1)  # compiles, and fills caches
  return timing.calls_per_sample(program.call('run', steps=1), most=2000)


def alone(program: worker.Worker, samples: int) -> dict[str, float]:
  """Returns the seconds per step of one program, as median and range of samples."""
  steps = steps_per_sample(program)
  return timing.summary([program.call('run', steps=steps) for _ in range(samples)])


def alternate(ours: worker.Worker, peer: worker.Worker, rounds: int) -> dict[str, Any]:
  """Compares two programs in rounds of one sample of each.

  The program that is first alternates between rounds.

  Args:
    ours: our program.
    peer: the program to compare with.
    rounds: number of rounds.

  Returns:
    Seconds per step of both, and the ratio, peer / ours, of the rounds. It is above 1
    if ours is faster.
  """
  steps = {program: steps_per_sample(program) for program in (ours, peer)}
  seconds = {ours: [], peer: []}
  for i in range(rounds):
    for program in (ours, peer) if i % 2 == 0 else (peer, ours):
      seconds[program].append(program.call('run', steps=steps[program]))
  each = [p / o for o, p in zip(seconds[ours], seconds[peer], strict=True)]
  return {'ours_seconds': timing.summary(seconds[ours]),
          'peer_seconds': timing.summary(seconds[peer]),
          'ratio': timing.summary(each), 'ratios': each}


def machine() -> dict[str, Any]:
  """Returns the cores of this process and the load average of the last minute."""
  return {'cores': len(os.sched_getaffinity(0)), 'load': os.getloadavg()[0]}


def busy(machine: dict[str, Any]) -> str:
  """Returns a warning if other programs use the cores; otherwise ''."""
  if machine['load'] < 0.5 * machine['cores']:
    return ''
  return (f'warning: the load average is {machine["load"]:.1f} on {machine["cores"]} '
          'cores before the start, so that ratios will vary and mean little; wait for '
          'the other programs to end')


def spread(values: dict[str, float], form: str = '{:.2f}') -> str:
  """Formats a median and range: '1.02 [0.98, 1.07]'."""
  median, low, high = (form.format(values[k]) for k in ('median', 'min', 'max'))
  return f'{median} [{low}, {high}]'
