"""What a compiled program sends between devices, read from its optimised HLO."""

import collections
import dataclasses
import math
import re

_OPS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
        'ragged-all-to-all', 'collective-permute', 'collective-broadcast')
# `%name = shape op(...), ...`: the shape holds spaces and brackets, but no such word.
_LINE = re.compile(
    rf'^\s*(?:ROOT )?%?[\w.-]+ = (.*?) ({"|".join(_OPS)})(-start)?\((.*)$',
    re.MULTILINE)
_CHAIN = re.compile(r'\bchain_id="(\w+)"')
_ARRAY = re.compile(r'\b(pred|[a-z]+\d+[a-z\d]*)\[([\d,]*)\]')


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
        itemsize(dtype) * math.prod(shape) for dtype, shape in self.arrays))

  @property
  def shapes(self) -> str:
    """For a table: 'f32[64], f32[64]'; of many, their number."""
    names = [f'{dtype}[{",".join(map(str, shape))}]' for dtype, shape in self.arrays]
    more = f'{names[0]} and {len(names) - 1} more'
    return ', '.join(names) if len(names) < 4 else more


def collectives(text: str) -> list[Collective]:
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
    arrays = [(dtype, tuple(int(d) for d in dims.split(',') if d))
              for dtype, dims in _ARRAY.findall(shape)]
    if start and op == 'collective-permute':  # (operand, result, context, ...)
      arrays = arrays[1:2]
    elif start and op != 'all-reduce':        # (operands, results)
      arrays = arrays[len(arrays) // 2:]
    found[op, tuple(arrays)] += 1
  kinds = [Collective(*kind, count) for kind, count in found.items()]
  return sorted(kinds, key=lambda c: (-c.count * c.bytes, c.op, c.arrays))


def itemsize(dtype: str) -> float:
  """Bytes of HLO's 'f32', 'bf16', 'pred', 's4', 'f8e4m3fn', ..."""
  return 1 if dtype == 'pred' else int(re.search(r'\d+', dtype)[0]) / 8
