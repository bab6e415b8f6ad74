"""Reads checkpoints of PyTorch, without executing what they hold.

Such a file is a pickle, which can hold code. PyTorch reads only the arrays and plain
values of it and refuses everything else. PyTorch is not a requirement of this package;
the extra `torch` installs it.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ssl_jax import errors

SUFFIXES = ('.ckpt', '.pt', '.pth', '.bin', '.pkl')
# Entries that hold the arrays, where a file has more than them.
_WRAPPERS = ('state_dict', 'model_state_dict', 'model')
_REMEDY = ('save its arrays by safetensors.torch.save_file in the environment that '
           'wrote it, and give that file')


def read(path: pathlib.Path | str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name; every floating dtype becomes float32.

  Raises:
    errors.UserError: the file does not exist or is damaged, it holds other objects than
      arrays and plain values, or PyTorch is not installed.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise errors.UserError(f'{path} does not exist; give the path of a file')
  try:
    import torch
  except ImportError as e:
    raise errors.UserError(
        f'{path} is a file of PyTorch, which is not installed; install it by '
        f"pip install 'ssl_jax[torch]', or {_REMEDY}") from e
  try:
    content = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as e:  # PyTorch raises many kinds.
    raise errors.UserError(
        f'{path} is damaged, or it is a pickle that could execute code, so nothing of '
        f'it was read ({_one_line(e)}); {_REMEDY}') from e
  tensors = {name: x for name, x in unwrapped(content).items()
             if isinstance(x, torch.Tensor)}
  if not tensors:
    raise errors.UserError(f'{path} holds no arrays by name; save the state_dict of '
                           'the network by torch.save')
  return {name: (x.float() if x.is_floating_point() else x).numpy()
          for name, x in tensors.items()}


def unwrapped(content: Any) -> Mapping[str, Any]:
  """Returns the entries by name that a checkpoint holds beside other facts."""
  while isinstance(content, Mapping):
    inner = next((content[name] for name in _WRAPPERS
                  if isinstance(content.get(name), Mapping)), None)
    if inner is None:
      return content
    content = inner
  return {}


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())[:120]
