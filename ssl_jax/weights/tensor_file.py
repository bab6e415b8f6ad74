"""Reads and writes safetensors files: arrays by name, and text by name.

Nothing in such a file is executed when it is read.
"""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from ssl_jax import errors

SUFFIX = '.safetensors'


class Content(NamedTuple):
  """Holds what a file contains.

  Attributes:
    tensors: arrays by name; every floating dtype becomes float32.
    metadata: text by name.
  """
  tensors: dict[str, np.ndarray]
  metadata: dict[str, str]


def read(path: pathlib.Path | str) -> Content:
  """Reads a file.

  Raises:
    errors.UserError: the file does not exist, or is not a whole safetensors file.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise errors.UserError(f'{path} does not exist; give the path of a {SUFFIX} file')
  try:
    with safetensors.safe_open(path, 'np') as file:
      tensors = {name: file.get_tensor(name) for name in file.keys()}
      metadata = file.metadata() or {}
  except (safetensors.SafetensorError, OSError, TypeError, ValueError) as e:
    raise errors.UserError(
        f'{path} is not a whole {SUFFIX} file ({_one_line(e)}). Copy it again if it '
        'was cut off; save a file of PyTorch by safetensors.torch.save_file, because '
        'reading a pickle could execute code') from e
  return Content({name: x.astype(np.float32) if _is_floating(x) else x
                  for name, x in tensors.items()}, metadata)


def serialize(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
  """Returns the content of a file.

  Args:
    tensors: arrays by name.
    metadata: text by name.
  """
  return safetensors.numpy.save(dict(tensors), dict(metadata))


def _is_floating(x: np.ndarray) -> bool:
  # The bfloat16 of ml_dtypes has the kind 'V'.
  return x.dtype.kind == 'f' or x.dtype.name == 'bfloat16'


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())[:160]
