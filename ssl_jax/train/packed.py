"""Writes the compressed network of a training as one file.

`train.encoder.load` reads it in place of a checkpoint.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging
from flax import traverse_util

from ssl_jax.compression import artefact
from ssl_jax.methods import base, compressed
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes

FILE = 'network.packed'  # in the workdir of a training


def write(workdir: pathlib.Path, method: base.Base | compressed.Compressed,
          variables: base.Variables, step: int,
          config: Mapping[str, Any]) -> dict[str, Any] | None:
  """Writes the network of a training that quantizes, and reads it again to compare.

  Process 0 writes. All processes must call it.

  Args:
    workdir: the folder of the training.
    method: what was trained.
    variables: all variables after the training.
    step: the number of updates that were done.
    config: the plain config that the checkpoints hold.

  Returns:
    What result.json holds of the file, see `describe`; None where nothing is quantized.

  Raises:
    AssertionError: what was read is not what was written.
  """
  if not isinstance(method, compressed.Compressed) or not method.compression.bits:
    return None
  encoder = mesh_lib.gather(method.encoder_variables(variables))
  unused = set(traverse_util.flatten_dict(method.frozen(variables)))
  report = ''
  with processes.fail_together():
    if jax.process_index() == 0:
      path = workdir / FILE
      artefact.write(path, encoder, {'config': config, 'step': step}, unused=unused,
                     bits=method.compression.bits, per=method.compression.per)
      read = artefact.read(path)
      check_equal(read.variables, encoder, unused)
      report = json.dumps(describe(path, read))
  found = json.loads(processes.allgather_text(report)[0])
  logging.info('%s', show(found))
  return found


def check_equal(read: base.Tree, written: base.Tree,
                unused: set[tuple[str, ...]]) -> None:
  """Raises `AssertionError` unless all arrays are equal bit for bit.

  Args:
    read: NumPy arrays.
    written: NumPy arrays.
    unused: the paths of arrays that may differ.
  """
  read = traverse_util.flatten_dict(read)
  for path, array in traverse_util.flatten_dict(written).items():
    if path not in unused and array.tobytes() != read[path].tobytes():
      raise AssertionError(f'{"/".join(path)} changed when it was written and read')


def describe(path: pathlib.Path, read: artefact.Artefact) -> dict[str, Any]:
  """Returns the sizes of a file: its bytes, what they compare with, and each layer.

  Args:
    path: the file.
    read: its content.

  Returns:
    'file', its name; 'bytes' on disk; 'float32', 'dense' and 'entropy', the bytes of
    the same arrays in other forms, see `artefact.Size`; 'sparsity', the fraction of
    the weights of all kernels that are zero; and 'layers', the same for each kernel.
  """
  kernels = [size for size in read.sizes
             if size.entries and size.float32 and size.name.endswith('/kernel')]
  whole = artefact.total(read.sizes)
  weights = artefact.total(kernels)
  header = path.stat().st_size - whole.stored
  return {'file': path.name, 'bytes': path.stat().st_size, 'float32': whole.float32,
          'dense': whole.dense + header, 'entropy': round(whole.entropy + header),
          'sparsity': 1 - weights.nonzero / weights.entries,
          'layers': [{'name': size.name.removeprefix('params/'),
                      'weights': size.entries, 'nonzero': size.nonzero,
                      'bytes': size.stored, 'float32': size.float32,
                      'dense': size.dense, 'entropy': round(size.entropy)}
                     for size in kernels]}


def show(found: Mapping[str, Any]) -> str:
  """Formats what `describe` returned as one line."""
  return (f'{found["file"]}: {found["bytes"]:,} bytes, '
          f'{found["float32"] / found["bytes"]:.1f} times fewer than float32 '
          f'({found["float32"]:,}); all weights in as many bits, zeros too: '
          f'{found["dense"]:,}; {100 * found["sparsity"]:.2f} % of the weights are 0')
