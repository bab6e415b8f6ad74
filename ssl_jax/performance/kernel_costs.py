"""Counts the bytes and FLOPs of one kernel of a program, from its instruction.

Bytes are those of operands and results. If a kernel slices or gathers from an operand,
only the elements that it reads count. If it updates a slice of an operand, only the
slice counts. Otherwise the operand counts in full, so that the bytes are an upper bound
if a kernel reads part of it in another way. The workspace of cuDNN is not counted.

FLOPs are those of convolutions and matrix products, two for each multiply-accumulate.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Sequence

from ssl_jax.performance import hlo

_SLICES = {'slice', 'dynamic-slice', 'gather'}
_CONVOLUTIONS = {'__cudnn$convForward': 'forward',
                 '__cudnn$convBiasActivationForward': 'forward',
                 '__cudnn$convBackwardInput': 'gradient of images',
                 '__cudnn$convBackwardFilter': 'gradient of kernels'}
_DIMENSIONS = {'b': 'N', 'f': 'C', 'o': 'O', 'i': 'I', '0': 'H', '1': 'W', '2': 'D'}


@dataclasses.dataclass(frozen=True)
class Convolution:
  """Describes a kind of convolution by cuDNN.

  Attributes:
    kind: 'forward', 'gradient of images' or 'gradient of kernels', by the function of
      cuDNN. XLA may compute a gradient of images of stride 1 as 'forward', with the
      kernel rotated by 180 degrees.
    dtypes: dtypes of operands and result, each named once.
    layouts: layouts of images, kernel and result, each named once, such as 'NHWC' or
      'OHWI'.
  """
  kind: str
  dtypes: str
  layouts: str


def bytes_touched(one: hlo.Instruction, operands: Sequence[hlo.Instruction],
                  inner: Sequence[hlo.Instruction]) -> int:
  """Returns the bytes that an instruction reads and writes.

  Args:
    one: the instruction.
    operands: the instructions whose results it takes.
    inner: the computation of a fusion; empty for another instruction.
  """
  return _read(one, operands, inner) + _written(one, operands, inner)


def convolution(one: hlo.Instruction,
                operands: Sequence[hlo.Instruction]) -> Convolution | None:
  """Returns the kind of convolution of an instruction; None if it is none."""
  target = one.find(r'custom_call_target="([^"]*)"')
  if not (target in _CONVOLUTIONS or one.op == 'convolution'):
    return None
  kind = _CONVOLUTIONS.get(target, 'forward')
  arrays = _convolved(kind, one, operands)
  layouts = [_layout(*pair) for pair in zip(_labels(one), arrays, strict=True)]
  return Convolution(kind, ' '.join(dict.fromkeys(a.dtype for a in arrays)),
                     ' '.join(dict.fromkeys(layouts)))


def flops(one: hlo.Instruction, operands: Sequence[hlo.Instruction]) -> int:
  """Returns the FLOPs of a convolution or matrix product; 0 for other instructions."""
  if kind := convolution(one, operands):
    _, kernel, result = _convolved(kind.kind, one, operands)
    channels = kernel.shape[_labels(one)[1].index('o')]
    return 2 * result.elements * kernel.elements // channels
  # A dot has `lhs_contracting_dims={1}`; a call of cuBLAS has it in its configuration.
  contracted = one.find(r'lhs_contracting_dim(?:ension)?s"?[=:][\[{]([^\]}]*)')
  if one.op == 'dot' or contracted:
    left = operands[0].arrays[0]
    return 2 * one.arrays[0].elements * math.prod(
        left.shape[int(d)] for d in re.findall(r'\d+', contracted))
  return 0


def _source(name: str, known: dict[str, hlo.Instruction]) -> hlo.Instruction:
  """Returns the instruction that a chain of bitcasts starts from."""
  one = known[name]
  while one.op in ('bitcast', 'reshape'):
    one = known[one.operands[0]]
  return one


def _read(one: hlo.Instruction, operands: Sequence[hlo.Instruction],
          inner: Sequence[hlo.Instruction]) -> int:
  if one.op in _SLICES:
    return one.bytes + sum(o.bytes for o in operands[1:])
  if one.op == 'dynamic-update-slice':
    operands = operands[1:]
  if not inner:
    return sum(o.bytes for o in operands)
  known, taken, whole = {i.name: i for i in inner}, collections.Counter(), set()
  for user in inner:
    if user.op in ('bitcast', 'reshape'):
      continue
    for position, name in enumerate(user.operands):
      source = _source(name, known).name
      if user.op in _SLICES and position == 0:
        taken[source] += user.bytes
      elif user.op != 'dynamic-update-slice' or position:
        whole.add(source)
  total = 0
  for parameter in (i for i in inner if i.op == 'parameter'):
    size = operands[int(parameter.literal)].bytes
    total += size if parameter.name in whole else min(size, taken[parameter.name])
  return total


def _written(one: hlo.Instruction, operands: Sequence[hlo.Instruction],
             inner: Sequence[hlo.Instruction]) -> int:
  if one.op == 'dynamic-update-slice':
    return operands[1].bytes
  if one.op.endswith('-start'):  # the result may hold the operands too
    return one.bytes - sum(o.bytes for o in operands) or one.bytes
  if not inner:
    return one.bytes
  known, total = {i.name: i for i in inner}, 0
  root = next(i for i in inner if i.root)
  for result in (root.operands if root.op == 'tuple' else (root.name,)):
    source = _source(result, known)
    total += (known[source.operands[1]] if source.op == 'dynamic-update-slice' else
              known[result]).bytes
  return total


def _labels(one: hlo.Instruction) -> list[str]:
  """Returns the labels of images, kernel and result: ['b01f', 'o01i', 'b01f']."""
  return re.split('_|->', one.find(r'dim_labels=([\w>-]+)'))


def _convolved(kind: str, one: hlo.Instruction,
               operands: Sequence[hlo.Instruction]) -> tuple[hlo.Array, ...]:
  """Returns images, kernel and result of the convolution in the forward pass."""
  left, right = (o.arrays[0] for o in operands[:2])
  out = one.arrays[0]
  return {'forward': (left, right, out), 'gradient of images': (out, right, left),
          'gradient of kernels': (left, out, right)}[kind]


def _layout(labels: str, array: hlo.Array) -> str:
  """Returns the dimensions in the order of memory, the slowest first."""
  return ''.join(
      _DIMENSIONS.get(labels[d], '?') for d in reversed(array.minor_to_major))
