"""Reads the text of a compiled program into computations and instructions.

The text is what `jax.stages.Compiled.as_text()` returns. The format is described by
https://openxla.org/xla/operation_semantics. Attributes that are not parsed are kept as
text.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

_ARRAY = re.compile(r'\b(pred|[a-z]+\d+[a-z\d]*)\[([\d,]*)\](?:\{([\d,]*))?')
_HEAD = re.compile(r'(ENTRY )?%?([\w.-]+) \(.*\{$')
_NAME = re.compile(r'\s+(ROOT )?%?([\w.-]+) = ')
_OPERATION = re.compile(r' ?([\w-]+)\(')
_OPERAND = re.compile(r'%([\w.-]+)')


@dataclasses.dataclass(frozen=True)
class Array:
  """Describes one array of a program.

  Attributes:
    dtype: 'f32', 'bf16', 'pred', ...
    shape: dimensions.
    minor_to_major: dimensions in the order of memory, the fastest first.
  """
  dtype: str
  shape: tuple[int, ...]
  minor_to_major: tuple[int, ...]

  @property
  def elements(self) -> int:
    return math.prod(self.shape)

  @property
  def bytes(self) -> int:
    return math.ceil(self.elements * itemsize(self.dtype))

  def __str__(self) -> str:
    return f'{self.dtype}[{",".join(map(str, self.shape))}]'


@dataclasses.dataclass(frozen=True)
class Instruction:
  """Describes one instruction, which is one line of a computation.

  Attributes:
    name: name, unique in the program.
    op: 'fusion', 'custom-call', 'copy', ...
    arrays: the result; a nested tuple is flattened.
    operands: names of instructions of the same computation.
    literal: the text between the parentheses, such as the number of a parameter.
    attributes: the text after the parentheses.
    root: whether the result is that of the computation.
  """
  name: str
  op: str
  arrays: tuple[Array, ...]
  operands: tuple[str, ...]
  literal: str
  attributes: str
  root: bool

  @property
  def bytes(self) -> int:
    """The size of the result in bytes."""
    return sum(a.bytes for a in self.arrays)

  @property
  def op_name(self) -> str:
    """The functions and scopes of the Python code of the instruction, or ''."""
    return self.find(r'op_name="((?:[^"\\]|\\.)*)"')

  def find(self, pattern: str) -> str:
    """Returns the first group of a pattern in the attributes; '' if it is absent."""
    found = re.search(pattern, self.attributes)
    return found[1] if found else ''

  def called(self, attribute: str) -> str:
    """Returns the computation that `attribute` ('calls', 'body', ...) names."""
    return self.find(rf'\b{attribute}=%?([\w.-]+)')


@dataclasses.dataclass(frozen=True)
class Program:
  """Holds the computations of a program.

  Attributes:
    computations: instructions of each computation by its name, in execution order.
    entry: name of the computation that the program executes.
  """
  computations: dict[str, Sequence[Instruction]]
  entry: str


def parse(text: str) -> Program:
  """Reads the text of a compiled program.

  Raises:
    ValueError: the text has no entry computation.
  """
  computations, entry, current = {}, '', None
  for line in text.splitlines():
    if current is None:
      if head := _HEAD.match(line):
        current = computations[head[2]] = []
        entry = head[2] if head[1] else entry
    elif line.startswith('}'):
      current = None
    elif instruction := _instruction(line):
      current.append(instruction)
  if not entry:
    raise ValueError('the text is not a program: no line starts with ENTRY')
  return Program(computations, entry)


def itemsize(dtype: str) -> float:
  """Returns the bytes of an element of dtype 'f32', 'bf16', 'pred', 's4', ..."""
  return 1 if dtype == 'pred' else int(re.search(r'\d+', dtype)[0]) / 8


def arrays(shape: str) -> tuple[Array, ...]:
  """Reads the arrays of a shape: `f32[2,3]{1,0}`, or a tuple of such arrays."""
  return tuple(Array(dtype, _numbers(dims), _numbers(order or ''))
               for dtype, dims, order in _ARRAY.findall(shape))


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(int(d) for d in text.split(',') if d)


def _instruction(line: str) -> Instruction | None:
  if not (name := _NAME.match(line)):
    return None
  start = name.end()
  end = _closing(line, start) if line[start] == '(' else line.index(' ', start)
  operation = _OPERATION.match(line, end)
  after = _closing(line, operation.end() - 1)
  literal = line[operation.end():after - 1]
  return Instruction(name[2], operation[1], arrays(line[start:end]),
                     tuple(_OPERAND.findall(literal)), literal, line[after:],
                     bool(name[1]))


def _closing(line: str, start: int) -> int:
  """Returns the index after the parenthesis that closes the one at `start`."""
  depth = 0
  for i in range(start, len(line)):
    depth += {'(': 1, ')': -1}.get(line[i], 0)
    if not depth:
      return i + 1
  return len(line)
