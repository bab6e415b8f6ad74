"""Two programs in turns, and what the one takes by what the other takes."""

import math
import os
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import worker

WINDOW = 1.0  # seconds that one sample lasts at least


def summary(values: Sequence[float]) -> dict[str, float]:
  return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def steps_per_sample(program: worker.Worker) -> int:
  """So many that they last `WINDOW`; warms up on the way."""
  program.call('run', steps=1)  # compiles, or has caches to fill
  rough = program.call('run', steps=1)
  return max(1, min(2000, math.ceil(WINDOW / max(rough, 1e-9))))


def alone(program: worker.Worker, samples: int) -> dict[str, float]:
  """Seconds per step of one program."""
  steps = steps_per_sample(program)
  return summary([program.call('run', steps=steps) for _ in range(samples)])


def in_turns(ours: worker.Worker, peer: worker.Worker,
             rounds: int) -> dict[str, Any]:
  """Seconds per step of both, and peer by ours of every round: above 1 we are faster.

  The one that comes first changes from round to round.
  """
  steps = {program: steps_per_sample(program) for program in (ours, peer)}
  seconds = {ours: [], peer: []}
  for i in range(rounds):
    for program in (ours, peer) if i % 2 == 0 else (peer, ours):
      seconds[program].append(program.call('run', steps=steps[program]))
  each = [p / o for o, p in zip(seconds[ours], seconds[peer], strict=True)]
  return {'ours_seconds': summary(seconds[ours]),
          'peer_seconds': summary(seconds[peer]),
          'ratio': summary(each), 'ratios': each}


def machine() -> dict[str, Any]:
  """Cores of this process, and the load average of the last minute."""
  return {'cores': len(os.sched_getaffinity(0)), 'load': os.getloadavg()[0]}


def busy(machine: dict[str, Any]) -> str:
  """A warning where others compute here, or nothing."""
  if machine['load'] < 0.5 * machine['cores']:
    return ''
  return (f'warning: the load average is {machine["load"]:.1f} on {machine["cores"]} '
          'cores before the start; ratios will scatter and mean little')


def spread(values: dict[str, float], form: str = '{:.2f}') -> str:
  """'1.02 [0.98, 1.07]'."""
  median, low, high = (form.format(values[k]) for k in ('median', 'min', 'max'))
  return f'{median} [{low}, {high}]'
