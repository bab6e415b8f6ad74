"""Counts the kernels of a program compiled for a GPU, and the bytes they touch.

Each instruction of the entry computation that is no bookkeeping is one launch. The body
of a loop counts as often as the loop is known to run; its condition is not evaluated
then. A loop of unknown length counts once, with its condition. The longest branch of a
condition counts.

Bytes are those of operands and results. A kernel that slices or gathers from an operand
reads what it takes; one that updates a slice of an operand writes the slice. Otherwise
the operand counts in full, so that the bytes are an upper bound where a kernel reads
part of it in another way. The workspace of cuDNN is not in them.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ssl_jax.performance import hlo

LAUNCH = 1e-6   # seconds that every kernel costs besides its work, in a CUDA graph
SMALL = 2**16   # bytes; a kernel that touches fewer costs its launch and little else
_FREE = {'parameter', 'get-tuple-element', 'bitcast', 'tuple', 'constant', 'after-all',
         'add-dependency', 'opt-barrier', 'domain', 'partition-id', 'replica-id'}
_FINISHED = re.compile(r'-(done|update)$')  # of an operation that was counted before
_COLLECTIVE = re.compile('all-reduce|all-gather|reduce-scatter|all-to-all|collective-')
_SLICES = {'slice', 'dynamic-slice', 'gather'}
_CONVOLUTIONS = {'__cudnn$convForward': 'forward',
                 '__cudnn$convBiasActivationForward': 'forward',
                 '__cudnn$convBackwardInput': 'gradient of images',
                 '__cudnn$convBackwardFilter': 'gradient of kernels'}
# The scopes of train/step.py, and what tables call them.
_SCOPES = {'views': 'augmentation', 'optimizer': 'optimizer', 'metrics': 'metrics',
           'probe': 'online probe', 'loss': 'loss'}
PARTS = ('augmentation', 'convolutions forward', 'convolutions backward',
         'encoder forward', 'encoder backward', 'heads forward', 'heads backward',
         'loss', 'optimizer', 'metrics', 'online probe', 'collectives', 'other')


@dataclasses.dataclass(frozen=True)
class Convolution:
  """One convolution by cuDNN.

  Attributes:
    kind: 'forward', 'gradient of images' or 'gradient of kernels'.
    dtypes: of its operands and its result, without repetition.
    layouts: of images, kernel and result, without repetition, such as 'NHWC' or 'OHWI'.
  """
  kind: str
  dtypes: str
  layouts: str


@dataclasses.dataclass(frozen=True)
class Kernel:
  """One launch of a program.

  Attributes:
    name: of the instruction.
    part: of the training step, one of `PARTS`.
    times: how often a step launches it.
    bytes: read and written by one launch.
    flops: of convolutions and matrix products of one launch.
    convolution: what kind, if it is one.
    rearranged: arrays that it only transposes or copies, or transposes as it computes.
  """
  name: str
  part: str
  times: int
  bytes: int
  flops: int
  convolution: Convolution | None
  rearranged: tuple[hlo.Array, ...]

  def seconds(self, flops: float, bandwidth: float) -> float:
    """Returns the shortest time of all its launches, at so many FLOP/s and bytes/s."""
    return self.times * (LAUNCH + max(self.flops / flops, self.bytes / bandwidth))


def read(text: str) -> list[Kernel]:
  """Reads the kernels of a program, in the order of their launch."""
  program = hlo.parse(text)
  return list(_Reader(program).kernels(program.entry, 1))


class _Reader:
  """Walks through the computations that a program executes."""

  def __init__(self, program: hlo.Program):
    self._program = program

  def kernels(self, name: str, times: int) -> Iterator[Kernel]:
    """Yields the kernels of a computation that is executed so many times."""
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
    """Yields the computations of control flow, and how often each is executed."""
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
    operands = [known[name] for name in one.operands]
    inner = self._program.computations.get(one.called('calls'), ())
    convolution = _convolution(one, operands)
    return Kernel(
        one.name, self._part(one, known, convolution), times,
        _bytes_read(one, operands, inner) + _bytes_written(one, operands, inner),
        self._flops(one, operands), convolution, self._rearranged(one, inner))

  def _part(self, one: hlo.Instruction, known: dict[str, hlo.Instruction],
            convolution: Convolution | None) -> str:
    if _COLLECTIVE.match(one.op):
      return 'collectives'
    if convolution:
      return ('convolutions forward' if convolution.kind == 'forward' else
              'convolutions backward')
    inner = self._program.computations.get(one.called('calls'), ())
    for name in (one.op_name, *(i.op_name for i in reversed(inner))):
      if part := part_of(name):
        return part
    for operand in one.operands:  # a copy has no name of its own
      if known[operand].op not in ('parameter', 'constant'):
        return self._part(known[operand], known, None)
    return 'other'

  def _flops(self, one: hlo.Instruction, operands: Sequence[hlo.Instruction]) -> int:
    inner, known, total = one.called('calls'), {}, 0
    for i in self._program.computations.get(inner, ()):
      known[i.name] = i
      total += self._flops(i, [known[name] for name in i.operands])
    return total or _own_flops(one, operands)

  def _rearranged(self, one: hlo.Instruction,
                  inner: Sequence[hlo.Instruction]) -> tuple[hlo.Array, ...]:
    return tuple(i.arrays[0] for i in (one, *inner) if i.op in ('copy', 'transpose'))


def part_of(op_name: str) -> str:
  """Returns the part of the training step that scopes belong to; '' if unknown.

  Args:
    op_name: what XLA keeps of the Python code, as 'jit(dispatch)/loss/
      transpose(jvp(Network))/encoder/stage1/...'; several if it merged operations.
  """
  scopes = re.findall(r'[\w.]+', op_name)
  if 'Network' in scopes:
    inside = scopes[scopes.index('Network') + 1:]
    where = 'encoder' if 'encoder' in inside[:1] else 'heads'
    return f'{where} {"backward" if "transpose(" in op_name else "forward"}'
  return next((part for scope, part in _SCOPES.items() if scope in scopes), '')


def _source(one: hlo.Instruction, known: dict[str, hlo.Instruction]) -> str:
  """Returns the name of the value that a chain of bitcasts starts from."""
  while one.op in ('bitcast', 'reshape') and one.operands:
    one = known[one.operands[0]]
  return one.name


def _bytes_read(one: hlo.Instruction, operands: Sequence[hlo.Instruction],
                inner: Sequence[hlo.Instruction]) -> int:
  if not inner:
    if one.op in _SLICES:
      return one.bytes + sum(o.bytes for o in operands[1:])
    return sum(o.bytes for o in (
        operands[1:] if one.op == 'dynamic-update-slice' else operands))
  known, taken, whole = {i.name: i for i in inner}, collections.Counter(), set()
  for user in inner:
    if user.op in ('bitcast', 'reshape', 'parameter', 'tuple'):
      continue
    for position, name in enumerate(user.operands):
      source = _source(known[name], known)
      if position == 0 and user.op in _SLICES:
        taken[source] += user.bytes
      elif position or user.op != 'dynamic-update-slice':
        whole.add(source)
  total = 0
  for parameter in (i for i in inner if i.op == 'parameter'):
    size = operands[int(parameter.literal)].bytes
    part = size if parameter.name in whole else taken[parameter.name]
    total += min(size, part)
  return total


def _bytes_written(one: hlo.Instruction, operands: Sequence[hlo.Instruction],
                   inner: Sequence[hlo.Instruction]) -> int:
  if one.op == 'dynamic-update-slice':
    return operands[1].bytes
  if one.op.endswith('-start'):  # the result holds the operands too
    return max(0, one.bytes - sum(o.bytes for o in operands)) or one.bytes
  if not inner:
    return one.bytes
  known = {i.name: i for i in inner}
  root = next(i for i in inner if i.root)
  total = 0
  for result in (root.operands if root.op == 'tuple' else (root.name,)):
    source = known[_source(known[result], known)]
    update = source.op == 'dynamic-update-slice'
    total += known[source.operands[1]].bytes if update else source.bytes
  return total


def _labels(one: hlo.Instruction) -> list[str]:
  """Returns the labels of images, kernel and result: ['b01f', 'o01i', 'b01f']."""
  return re.split('_|->', one.find(r'dim_labels=([\w>-]+)'))


def _convolution(one: hlo.Instruction,
                 operands: Sequence[hlo.Instruction]) -> Convolution | None:
  target = one.find(r'custom_call_target="([^"]*)"')
  if not (target in _CONVOLUTIONS or one.op == 'convolution'):
    return None
  kind = _CONVOLUTIONS.get(target, 'forward')
  images, kernel, result = _convolved(kind, one, operands)
  names = [_layout(labels, array) for labels, array in zip(
      _labels(one), (images, kernel, result), strict=True)]
  return Convolution(kind, ' '.join(dict.fromkeys(
      a.dtype for a in (images, kernel, result))), ' '.join(dict.fromkeys(names)))


def _convolved(kind: str, one: hlo.Instruction,
               operands: Sequence[hlo.Instruction]) -> tuple[hlo.Array, ...]:
  """Returns images, kernel and result of the forward pass that it belongs to."""
  left, right = (o.arrays[0] for o in operands[:2])
  out = one.arrays[0]
  return {'forward': (left, right, out), 'gradient of images': (out, right, left),
          'gradient of kernels': (left, out, right)}[kind]


def _layout(labels: str, array: hlo.Array) -> str:
  """Returns the dimensions in the order of memory, the slowest first."""
  names = {'b': 'N', 'f': 'C', 'o': 'O', 'i': 'I', '0': 'H', '1': 'W', '2': 'D'}
  return ''.join(names.get(labels[d], '?') for d in reversed(array.minor_to_major))


def _own_flops(one: hlo.Instruction, operands: Sequence[hlo.Instruction]) -> int:
  if convolution := _convolution(one, operands):
    _, kernel, result = _convolved(convolution.kind, one, operands)
    channels = kernel.shape[_labels(one)[1].index('o')]
    return 2 * result.elements * kernel.elements // channels
  contracted = one.find(r'"?lhs_contracting_dim(?:ension)?s"?[=:][\[{]([^\]}]*)')
  if one.op == 'dot' or contracted:
    left = operands[0].arrays[0]
    return 2 * one.arrays[0].elements * math.prod(
        left.shape[int(d)] for d in re.findall(r'\d+', contracted))
  return 0


def summary(found: Sequence[Kernel], flops: float, bandwidth: float,
            images: int) -> dict[str, Any]:
  """Adds the kernels up, by part of the step.

  Args:
    found: of a program.
    flops: peak of the GPU, FLOP/s.
    bandwidth: of its memory, bytes/s.
    images: of the batch of one GPU. An array of three dimensions or more is an
      activation if its first is a multiple of that.

  Returns:
    Totals, and the lists 'parts', 'convolutions' and 'rearranged_activations'.
  """
  def total(some):
    return {
        'kernels': sum(k.times for k in some),
        'small_kernels': sum(k.times for k in some if k.bytes < SMALL),
        'bytes': sum(k.times * k.bytes for k in some),
        'flops': sum(k.times * k.flops for k in some),
        'seconds': sum(k.seconds(flops, bandwidth) for k in some
                       if k.part != 'collectives')}

  convolutions, rearranged = collections.Counter(), collections.Counter()
  for k in found:
    if k.convolution:
      convolutions[k.convolution] += k.times
    for array in k.rearranged:
      if len(array.shape) > 2 and array.shape[0] % images == 0:
        rearranged[k.part, str(array)] += k.times
  parts = {part: [k for k in found if k.part == part] for part in PARTS}
  return {
      **total(found), 'launch_seconds': LAUNCH, 'small_bytes': SMALL,
      'parts': [{'part': p, **total(some)} for p, some in parts.items() if some],
      'convolutions': [{**dataclasses.asdict(c), 'count': n}
                       for c, n in convolutions.items()],
      'rearranged_activations': [{'part': part, 'array': array, 'count': n}
                                 for (part, array), n in rearranged.items()]}
