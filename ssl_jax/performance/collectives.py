"""Reads a compiled program's collectives from its HLO, and predicts their time."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable

from ssl_jax.performance import hardware, hlo

_OPS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
        'ragged-all-to-all', 'collective-permute', 'collective-broadcast')
# `%name = shape op(...), ...`. The shape has spaces and brackets, but not the names of
# operations.
_LINE = re.compile(
    rf'^\s*(?:ROOT )?%?[\w.-]+ = (.*?) ({"|".join(_OPS)})(-start)?\((.*)$',
    re.MULTILINE)
_CHAIN = re.compile(r'\bchain_id="(\w+)"')
HOP = 1e-6  # seconds from one chip to the next, including sending and receiving


@dataclasses.dataclass(frozen=True)
class Collective:
  """Describes one kind of collective operation of a program.

  Attributes:
    op: 'all-reduce', 'all-gather', ...
    arrays: results on one device as (dtype, shape), one or several.
    count: number of such operations in the program; one in a loop counts once.
  """
  op: str
  arrays: tuple[tuple[str, tuple[int, ...]], ...]
  count: int

  @property
  def bytes(self) -> int:
    """The size of the results of one operation on one device."""
    return math.ceil(sum(
        hlo.itemsize(dtype) * math.prod(shape) for dtype, shape in self.arrays))

  @property
  def shapes(self) -> str:
    """The shapes for a table: 'f32[64], f32[64]', or the first and a count."""
    names = [f'{dtype}[{",".join(map(str, shape))}]' for dtype, shape in self.arrays]
    more = f'{names[0]} and {len(names) - 1} more'
    return ', '.join(names) if len(names) < 4 else more


def parse(text: str) -> list[Collective]:
  """Reads the collectives of `compiled.as_text()`, those of most bytes first.

  An asynchronous operation is counted at its start. The result of the start also holds
  its operands, which are not counted. On TPUs an operation may run during several
  fusions, and each of them names it; all with one chain_id count as one operation.
  """
  found, chains = collections.Counter(), set()
  for shape, op, start, rest in _LINE.findall(text):
    if chain := _CHAIN.search(rest):
      if chain[1] in chains:
        continue
      chains.add(chain[1])
    arrays = [(a.dtype, a.shape) for a in hlo.arrays(shape)]
    if start and op == 'collective-permute':  # (operand, result, context, ...)
      arrays = arrays[1:2]
    elif start and (op != 'all-reduce' or shape.startswith('((')):
      # (operands, results); for an all-reduce, GPUs write ((operands), results).
      arrays = arrays[len(arrays) // 2:]
    found[op, tuple(arrays)] += 1
  kinds = [Collective(*kind, count) for kind, count in found.items()]
  return sorted(kinds, key=lambda c: (-c.count * c.bytes, c.op, c.arrays))


def communication(sent: Iterable[Collective],
                  links: hardware.Torus | hardware.Switch, chips: int) -> float:
  """Predicts the seconds that the collectives of a step take, one after the other.

  Each takes its bytes divided by the bandwidth of all links of a chip, and the latency
  of the hops across the slice. An all-reduce takes both twice. No communication is
  hidden by computation.

  Args:
    sent: the collectives of a program for this number of chips; see `resized`.
    links: links between the chips.
    chips: number of chips of the slice or the host.
  """
  if chips == 1:
    return 0.0
  bandwidth, hops = links.route(chips)
  total = 0.0
  for c in sent:
    sent = c.bytes * (chips - 1) / chips
    if c.op == 'reduce-scatter':  # its result is one of the parts that it sends
      sent *= chips
    rounds = 2 if c.op == 'all-reduce' else 1
    total += c.count * rounds * (sent / bandwidth + hops * HOP)
  return total


def resized(sent: Iterable[Collective], rows: int, compiled_for: int,
            chips: int) -> list[Collective]:
  """Predicts the collectives of the same step on another number of chips.

  The batch per chip stays. Gathered arrays grow with the number of chips, and so do
  arrays with one row for each image. Parameters and statistics stay.

  Args:
    sent: the collectives of the compiled program.
    rows: number of images of the whole batch in the compiled program.
    compiled_for: number of chips of the compiled program.
    chips: number of chips to predict for.
  """
  def shape(op, old):
    grows = op == 'all-gather' or any(d and d % rows == 0 for d in old[:1])
    return (max(1, round(old[0] * chips / compiled_for)), *old[1:]) if (
        grows and old) else old
  return [Collective(c.op, tuple((dtype, shape(c.op, old))
                                     for dtype, old in c.arrays), c.count)
          for c in sent]
