"""Counts the kernels of a program compiled for a GPU, and adds up their costs.

Each instruction of the entry computation is one kernel launch, except those that only
name, group or reinterpret arrays. The body of a loop counts as often as the loop is
known to run; XLA then does not evaluate its condition. A loop of unknown length counts
once, with its condition. Only the longest of several branches counts.
`kernel_costs` states how bytes and FLOPs are counted.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ssl_jax.performance import hlo, kernel_costs

LAUNCH = 1e-6   # seconds that a kernel in a CUDA graph takes in addition to its work
SMALL = 2**16   # bytes; a kernel that touches fewer takes little more than its launch
_FREE = {'parameter', 'get-tuple-element', 'bitcast', 'tuple', 'constant', 'after-all',
         'add-dependency', 'opt-barrier', 'domain', 'partition-id', 'replica-id'}
_FINISHED = re.compile('-(done|update)$')  # the end of an operation counted before
_COLLECTIVE = re.compile('all-reduce|all-gather|reduce-scatter|all-to-all|collective-')
# The scopes of train/step.py, and the names of these parts in tables.
_SCOPES = {'views': 'augmentation', 'optimizer': 'optimizer', 'metrics': 'metrics',
           'probe': 'online probe', 'loss': 'loss'}
PARTS = ('augmentation', 'convolutions forward', 'convolutions backward',
         'encoder forward', 'encoder backward', 'heads forward', 'heads backward',
         'loss', 'optimizer', 'metrics', 'online probe', 'collectives', 'other')


@dataclasses.dataclass(frozen=True)
class Kernel:
  """Describes one kernel of a program.

  Attributes:
    name: name of the instruction.
    op: 'fusion', 'custom-call', 'copy', ...
    part: part of the training step, one of `PARTS`.
    times: number of launches in a step.
    bytes: bytes that one launch reads and writes.
    flops: FLOPs of the convolutions and matrix products of one launch.
    convolution: the kind of convolution; None if it is none.
    rearranged: arrays that it copies or transposes, alone or as part of other work.
      Arrays with the dimensions of a parameter, in any order, are left out.
  """
  name: str
  op: str
  part: str
  times: int
  bytes: int
  flops: int
  convolution: kernel_costs.Convolution | None
  rearranged: tuple[hlo.Array, ...]

  def seconds(self, flops: float, bandwidth: float) -> float:
    """Returns the shortest possible seconds of all its launches.

    A collective takes only its launch here, because links and not memory limit it.

    Args:
      flops: peak of the GPU in FLOP/s.
      bandwidth: bandwidth of the GPU's memory in bytes/s.
    """
    work = max(self.flops / flops, self.bytes / bandwidth)
    return self.times * (LAUNCH + (0 if _COLLECTIVE.match(self.op) else work))


def read(text: str) -> list[Kernel]:
  """Reads the kernels from the text of a compiled program, in the order of launch."""
  program = hlo.parse(text)
  return list(_Reader(program).kernels(program.entry, 1))


class _Reader:
  """Walks through the computations that a program executes."""

  def __init__(self, program: hlo.Program):
    self._program = program
    self._parameters = {
        tuple(sorted(i.arrays[0].shape)) for i in program.computations[program.entry]
        if i.op == 'parameter' and i.arrays[0].dtype.startswith(('f', 'bf'))}

  def kernels(self, name: str, times: int) -> Iterator[Kernel]:
    """Yields the kernels of a computation that a step executes `times` times."""
    known = {}
    for one in self._program.computations[name]:
      known[one.name] = one
      if one.op in _FREE or _FINISHED.search(one.op):
        continue
      if inner := list(self._inner(one)):
        for computation, repeated in inner:
          yield from self.kernels(computation, times * repeated)
      else:
        yield self._kernel(one, known, times)

  def _inner(self, one: hlo.Instruction) -> Iterator[tuple[str, int]]:
    """Yields the computations that control flow executes, and how often."""
    if one.op == 'while':
      trips = one.find(r'known_trip_count"?:\{"?n"?:"?(\d+)')
      yield one.called('body'), int(trips or 1)
      if not trips:
        yield one.called('condition'), 1
    elif one.op == 'call':
      yield one.called('to_apply'), 1
    elif one.op == 'async-start':
      yield one.called('calls'), 1
    elif one.op == 'conditional':
      branches = re.findall(r'[\w.-]+', one.find(
          r'branch_computations=\{([^}]*)\}')) or [
              one.called('true_computation'), one.called('false_computation')]
      yield max(branches, key=lambda b: sum(k.times for k in self.kernels(b, 1))), 1

  def _kernel(self, one: hlo.Instruction, known: dict[str, hlo.Instruction],
              times: int) -> Kernel:
    operands, inner = [known[name] for name in one.operands], self._called(one)
    convolution = kernel_costs.convolution(one, operands)
    return Kernel(
        one.name, one.op, self._part(one, known, convolution), times,
        kernel_costs.bytes_touched(one, operands, inner), self._flops(one, operands),
        convolution, tuple(
            i.arrays[0] for i in (one, *inner) if i.op in ('copy', 'transpose')
            and tuple(sorted(i.arrays[0].shape)) not in self._parameters))

  def _called(self, one: hlo.Instruction) -> Sequence[hlo.Instruction]:
    """Returns the computation of a fusion; it is empty for another instruction."""
    return self._program.computations.get(one.called('calls'), ())

  def _part(self, one: hlo.Instruction, known: dict[str, hlo.Instruction],
            convolution: kernel_costs.Convolution | None) -> str:
    if _COLLECTIVE.match(one.op):
      return 'collectives'
    if convolution:
      backward = 'transpose(' in one.op_name or convolution.kind != 'forward'
      return f'convolutions {"backward" if backward else "forward"}'
    for name in (one.op_name, *(i.op_name for i in reversed(self._called(one)))):
      if part := part_of(name):
        return part
    for operand in one.operands:  # XLA's own copies have no name
      if known[operand].op not in ('parameter', 'constant'):
        return self._part(known[operand], known, None)
    return 'other'

  def _flops(self, one: hlo.Instruction, operands: Sequence[hlo.Instruction]) -> int:
    known, total = {}, kernel_costs.flops(one, operands)
    for i in self._called(one):
      known[i.name] = i
      total += self._flops(i, [known[name] for name in i.operands])
    return total


def part_of(op_name: str) -> str:
  """Returns the part of the training step that scopes belong to; '' if unknown.

  Args:
    op_name: the scopes that XLA keeps of the Python code, such as 'jit(dispatch)/loss/
      transpose(jvp(Network))/encoder/stage1/...'. If XLA merged operations, it holds
      the scopes of each.
  """
  scopes = re.findall(r'[\w.]+', op_name)
  if 'Network' in scopes:
    inside = scopes[scopes.index('Network') + 1:]
    where = 'encoder' if 'encoder' in inside[:1] else 'heads'
    return f'{where} {"backward" if "transpose(" in op_name else "forward"}'
  return next((part for scope, part in _SCOPES.items() if scope in scopes), '')


def summary(found: Sequence[Kernel], flops: float, bandwidth: float,
            images: int) -> dict[str, Any]:
  """Adds up the costs of kernels, by part of the step.

  Args:
    found: the kernels of a program.
    flops: peak of the GPU in FLOP/s.
    bandwidth: bandwidth of the GPU's memory in bytes/s.
    images: number of images of one GPU. An array of several dimensions is an activation
      if its first dimension is a multiple of this number.

  Returns:
    The totals, the totals of 'copies' alone, and the lists 'parts', 'convolutions' and
    'rearranged_activations'.
  """
  def total(some):
    return {
        'kernels': sum(k.times for k in some),
        'small_kernels': sum(k.times for k in some if k.bytes < SMALL),
        'bytes': sum(k.times * k.bytes for k in some),
        'flops': sum(k.times * k.flops for k in some),
        'seconds': sum(k.seconds(flops, bandwidth) for k in some)}

  convolutions, rearranged = collections.Counter(), collections.Counter()
  for k in found:
    if k.convolution:
      convolutions[k.convolution] += k.times
    for array in k.rearranged:
      if len(array.shape) > 1 and array.shape[0] % images == 0:
        rearranged[k.part, str(array)] += k.times
  parts = {part: [k for k in found if k.part == part] for part in PARTS}
  return {
      **total(found), 'launch_seconds': LAUNCH, 'small_bytes': SMALL,
      'copies': total([k for k in found if k.op == 'copy']),
      'parts': [{'part': p, **total(some)} for p, some in parts.items() if some],
      'convolutions': [{**dataclasses.asdict(c), 'count': n}
                       for c, n in convolutions.items()],
      'rearranged_activations': [{'part': part, 'array': array, 'count': n}
                                 for (part, array), n in rearranged.items()]}
