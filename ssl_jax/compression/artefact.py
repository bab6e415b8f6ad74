"""Writes a pruned and quantized network as one small file, and reads it.

The file consists of 8 bytes that identify the format, the SHA-256 digest of the rest,
the length of the header, the header, and the arrays in the order of the header. The
header is JSON, compressed by zlib. It holds everything that is needed to use the
network, such as the config with the preprocessing, and for each array its name, shape
and coding. Nothing in the file is executed when it is read.

* A kernel is stored as integers of k bits (compression/coding.py) and scales of 3 bytes
  each, because a scale has 16 significant bits. The product is exact in float32, so
  the weights that are read equal those that were written bit for bit.
* BatchNorm's parameters and statistics are stored in their own dtype. If they were
  folded into the kernels, a channel would need one number instead of four, but
  predictions would be rounded differently, and weights would no longer be multiples of
  their scale.
* Arrays that the scored output does not depend on, such as the projection head of a
  network whose classifier uses the encoder, take no bytes and are read as zeros.

The file is smaller than the network in memory. It is not faster: XLA has no convolution
that skips single weights.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import struct
import zlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from ssl_jax import errors
from ssl_jax.compression import coding, quantization
from ssl_jax.compression.kernels import Path

Tree = Any
MAGIC = b'SSLJAX\x00\x01'  # the last byte is the version of the format
_DIGEST = 32
_LENGTH = struct.Struct('<I')
_SCALE_BYTES = 3


class Size(NamedTuple):
  """Bytes of one array.

  Attributes:
    name: path of the array, 'params/encoder/stem/conv1/kernel'.
    entries: number of entries.
    nonzero: number of entries that are not zero.
    stored: bytes in the file.
    float32: bytes of all entries as float32.
    dense: bytes of all entries with k bits, zeros included, and the scales.
    entropy: entropy of the integers, and the scales, in bytes: the least that a code
      takes on average that codes each integer on its own.
  """
  name: str
  entries: int
  nonzero: int
  stored: int
  float32: int
  dense: int
  entropy: float


@dataclasses.dataclass(frozen=True)
class Artefact:
  """The content of a file.

  Attributes:
    variables: NumPy arrays, as `method.encoder_variables` returned them.
    meta: what `write` was given.
    sizes: bytes of each array.
    digest: SHA-256 of the content, hexadecimal.
  """
  variables: Tree
  meta: dict[str, Any]
  sizes: tuple[Size, ...]
  digest: str


def write(path: pathlib.Path | str, variables: Tree, meta: Mapping[str, Any], *,
          bits: int, per: str, unused: Collection[Path] = ()) -> int:
  """Writes a compressed network and returns the size of the file in bytes.

  The file is written under another name and renamed, so that a kill leaves none.

  Args:
    path: the file.
    variables: {'params', 'batch_stats'}, arrays in host memory. Each kernel must be
      quantized.
    meta: what JSON can hold, such as the config and the names of the classes.
    bits: number of bits of a weight, from 2 to 8.
    per: an entry of `quantization.GRANULARITIES`.
    unused: paths of arrays that take no bytes and are read as zeros.

  Raises:
    errors.UserError: a kernel is not quantized with these bits.
  """
  rows, blobs = [], []
  for name, array in sorted(traverse_util.flatten_dict(variables).items()):
    row, parts = _encode(name, np.asarray(array), bits, per, name in unused)
    rows.append({'path': list(name), 'shape': list(np.shape(array)), **row})
    blobs += parts
  header = zlib.compress(json.dumps(
      {'meta': dict(meta), 'bits': bits, 'arrays': rows}, sort_keys=True).encode(), 9)
  content = b''.join([_LENGTH.pack(len(header)), header, *blobs])
  data = MAGIC + hashlib.sha256(content).digest() + content
  path = pathlib.Path(path)
  partial = path.with_name(path.name + '.partial')
  partial.write_bytes(data)
  os.replace(partial, path)
  return len(data)


def read(path: pathlib.Path | str) -> Artefact:
  """Reads a file that `write` wrote.

  Raises:
    errors.UserError: the file does not exist, has another format or another version of
      it, or is truncated or damaged.
  """
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as e:
    raise errors.UserError(f'{path} cannot be read: {e.strerror}') from e
  content = _checked(data, path)
  digest = hashlib.sha256(content).hexdigest()
  try:
    end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    header = json.loads(zlib.decompress(content[_LENGTH.size:end]))
    flat, sizes = {}, []
    for row in header['arrays']:
      name, parts = tuple(row['path']), []
      for length in row['lengths']:
        parts.append(content[end:end + length])
        end += length
      flat[name], size = _decode(row, parts, header['bits'])
      sizes.append(size)
    return Artefact(traverse_util.unflatten_dict(flat), header['meta'], tuple(sizes),
                    digest)
  except (KeyError, TypeError, ValueError, struct.error, zlib.error) as e:
    # The digest is right, so whoever wrote the file wrote it so.
    raise errors.UserError(
        f'{path} was not written correctly ({type(e).__name__}: {e}); write it again '
        'from its checkpoint') from e


def is_artefact(path: pathlib.Path | str) -> bool:
  """Returns whether the path is a file, which a checkpoint never is."""
  return pathlib.Path(path).is_file()


def total(sizes: Collection[Size], name: str = 'all') -> Size:
  """Returns the sum of the sizes of several arrays, under one name."""
  columns = list(zip(*sizes, strict=True))[1:]
  return Size(name, *map(sum, columns))


def _checked(data: bytes, path: pathlib.Path | str) -> bytes:
  """Returns the content of a file whose format and digest are right."""
  if data[:len(MAGIC) - 1] != MAGIC[:-1]:
    raise errors.UserError(
        f'{path} is not a compressed network of this library; give a file that '
        'fine-tuning with config.compression wrote, or the workdir of a run')
  if len(data) < len(MAGIC) + _DIGEST + _LENGTH.size:
    raise errors.UserError(f'{path} is truncated: it has only {len(data)} bytes; copy '
                           'or write it again')
  if data[len(MAGIC) - 1] != MAGIC[-1]:
    raise errors.UserError(
        f'{path} has version {data[len(MAGIC) - 1]} of its format, and this library '
        f'reads version {MAGIC[-1]}; use the version of the library that wrote it')
  start = len(MAGIC) + _DIGEST
  if hashlib.sha256(data[start:]).digest() != data[len(MAGIC):start]:
    raise errors.UserError(f'{path} is damaged or truncated: its SHA-256 digest is '
                           'not the one that was written; copy or write it again')
  return data[start:]


def _encode(name: Path, array: np.ndarray, bits: int, per: str,
            unused: bool) -> tuple[dict[str, Any], list[bytes]]:
  """Returns what the header states of an array, and its bytes."""
  if unused:
    return {'form': 'zeros', 'dtype': array.dtype.str, 'lengths': []}, []
  if name[-1] != 'kernel':
    little = array.astype(array.dtype.newbyteorder('<'))
    data = little.tobytes()
    return {'form': 'plain', 'dtype': little.dtype.str, 'lengths': [len(data)]}, [data]
  quantized = quantization.quantize(array, bits=bits, per=per)
  if not np.array_equal(quantization.dequantize(quantized), array):
    raise errors.UserError(
        f'{"/".join(name)} is not quantized with {bits} bits per {per}; train with '
        f'--config.compression.bits={bits} --config.compression.per={per}, or without '
        'frozen layers')
  scale = np.asarray(quantized.scale, np.float32)
  coded = coding.encode(np.asarray(quantized.qvalue).astype(np.int8), bits)
  parts = [_pack_scales(scale), coded.index, coded.values]
  return {'form': 'kernel', 'scales': list(scale.shape), 'positions': coded.positions,
          'count': coded.count, 'low_bits': coded.low_bits,
          'lengths': [len(part) for part in parts]}, parts


def _decode(row: Mapping[str, Any], parts: list[bytes],
            bits: int) -> tuple[np.ndarray, Size]:
  """Returns an array and its size."""
  name, shape = '/'.join(row['path']), tuple(row['shape'])
  n = int(np.prod(shape))
  if row['form'] == 'zeros':
    return np.zeros(shape, row['dtype']), Size(name, n, 0, 0, 0, 0, 0)
  if row['form'] == 'plain':
    array = np.frombuffer(parts[0], row['dtype']).reshape(shape)
    stored = len(parts[0])
    return array.astype(array.dtype.newbyteorder('=')), Size(
        name, n, int(np.count_nonzero(array)), stored, 4 * n, stored, stored)
  coded = coding.Coded(row['positions'], row['count'], row['low_bits'], *parts[1:])
  integers = coding.decode(coded, n, bits)
  array = integers.reshape(shape).astype(np.float32) * _unpack_scales(
      parts[0], tuple(row['scales']))
  return array, Size(name, n, int(np.count_nonzero(integers)), sum(map(len, parts)),
                     4 * n, -(-n * bits // 8) + len(parts[0]),
                     coding.entropy_bytes(integers) + len(parts[0]))


def _pack_scales(scales: np.ndarray) -> bytes:
  """Packs float32 numbers without their last byte, which is 0 in a scale."""
  words = np.ravel(scales).astype('<f4').view(np.uint8).reshape(-1, 4)
  return words[:, 4 - _SCALE_BYTES:].tobytes()


def _unpack_scales(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
  words = np.zeros((int(np.prod(shape)), 4), np.uint8)
  words[:, 4 - _SCALE_BYTES:] = np.frombuffer(data, np.uint8).reshape(-1, _SCALE_BYTES)
  return words.reshape(-1).view('<f4').astype(np.float32).reshape(shape)
