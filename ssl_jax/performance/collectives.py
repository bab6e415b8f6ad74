"""Reads a compiled program's collectives from its HLO, and predicts their time."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable

from ssl_jax.performance import hardware, hlo

_OPS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
        'ragged-all-to-all', 'collective-permute', 'collective-broadcast')
# `%name = shape op(...), ...`: the shape holds spaces and brackets, but no such word.
_LINE = re.compile(
    rf'^\s*(?:ROOT )?%?[\w.-]+ = (.*?) ({"|".join(_OPS)})(-start)?\((.*)$',
    re.MULTILINE)
_CHAIN = re.compile(r'\bchain_id="(\w+)"')
HOP = 1e-6  # seconds from one chip to the next, send and receive included


@dataclasses.dataclass(frozen=True)
class Collective:
  """One kind of message of a program.

  Attributes:
    op: 'all-reduce', 'all-gather', ...
    arrays: what one device has afterwards, as (dtype, shape), one or several.
    count: of such operations in the program; one in a loop counts once.
  """
  op: str
  arrays: tuple[tuple[str, tuple[int, ...]], ...]
  count: int

  @property
  def bytes(self) -> int:
    """That one device has after one such operation."""
    return math.ceil(sum(
        hlo.itemsize(dtype) * math.prod(shape) for dtype, shape in self.arrays))

  @property
  def shapes(self) -> str:
    """For a table: 'f32[64], f32[64]'; of many, their number."""
    names = [f'{dtype}[{",".join(map(str, shape))}]' for dtype, shape in self.arrays]
    more = f'{names[0]} and {len(names) - 1} more'
    return ', '.join(names) if len(names) < 4 else more


def parse(text: str) -> list[Collective]:
  """Reads `compiled.as_text()`; the heaviest kind comes first.

  An asynchronous operation is counted at its start: its result then also holds
  its operands, which are left out here. On TPUs one may run beside several fusions
  and is then named in each of them: a chain is one operation.
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
      # (operands, results); of an all-reduce, GPUs write ((operands), results).
      arrays = arrays[len(arrays) // 2:]
    found[op, tuple(arrays)] += 1
  kinds = [Collective(*kind, count) for kind, count in found.items()]
  return sorted(kinds, key=lambda c: (-c.count * c.bytes, c.op, c.arrays))


def communication(sent: Iterable[Collective],
                  links: hardware.Torus | hardware.Switch, chips: int) -> float:
  """Returns the seconds that the collectives of a step take, one after the other.

  Each costs its bytes over the bandwidth of all links of a chip, and its way
  across the slice, hop by hop; an all-reduce costs that twice. Nothing is hidden
  behind computation.

  Args:
    sent: as compiled for `chips`; see `resized`.
    links: how chips are wired.
    chips: of the slice or the host.
  """
  if chips == 1:
    return 0.0
  bandwidth, hops = links.route(chips)
  total = 0.0
  for c in sent:
    sent = c.bytes * (chips - 1) / chips
    if c.op == 'reduce-scatter':  # what it leaves is one part of what it sends
      sent *= chips
    rounds = 2 if c.op == 'all-reduce' else 1
    total += c.count * rounds * (sent / bandwidth + hops * HOP)
  return total


def resized(sent: Iterable[Collective], rows: int, compiled_for: int,
            chips: int) -> list[Collective]:
  """The same step, with the same batch per chip, on another number of chips.

  Gathered arrays grow with the chips, and so do arrays with one row for each
  image; parameters and statistics stay.

  Args:
    sent: as compiled.
    rows: images of the whole batch as compiled.
    compiled_for: chips.
    chips: asked for.
  """
  def shape(op, old):
    grows = op == 'all-gather' or any(d and d % rows == 0 for d in old[:1])
    return (max(1, round(old[0] * chips / compiled_for)), *old[1:]) if (
        grows and old) else old
  return [Collective(c.op, tuple((dtype, shape(c.op, old))
                                     for dtype, old in c.arrays), c.count)
          for c in sent]
