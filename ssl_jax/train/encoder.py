"""Loads an encoder from a checkpoint, which is all that is needed of a run."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ssl_jax import errors, methods
from ssl_jax.compression import artefact
from ssl_jax.methods import base
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import checkpoint, imported

Tree = Any


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
  """A trained encoder; `method.encode(variables, batch)` returns its endpoints.

  Attributes:
    method: the method that trained it.
    variables: its variables, replicated on all devices of the mesh.
    config: the plain config of the run that trained it.
    step: the number of training steps.
    image_shape: [H, W, C] of the images that it was trained on.
    class_names: the classes of those images; empty without labels.
  """
  method: base.Base
  variables: Tree
  config: dict[str, Any]
  step: int
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]


def load(path: pathlib.Path | str, mesh: jax.sharding.Mesh) -> TrainedEncoder:
  """Reads the newest checkpoint of a pre-training run.

  Args:
    path: the workdir of the run, the folder `checkpoints` in it, the file of a
      compressed network, or a file of weights that `weights.files` reads.
    mesh: the devices.

  Raises:
    errors.UserError: no checkpoint is found or readable, or its arrays are not those of
      the architecture that its config names.
  """
  folder = checkpoint.locate(path)
  read = _read_file(folder)
  if read is not None:
    step, config = read.meta['step'], read.meta['config']
  else:
    step, config = checkpoint.read_config(folder)
  image_shape = tuple(config['dataset']['image_shape'])
  class_names = tuple(config['dataset']['class_names'])
  # The weights of a compressed encoder were compressed when they were saved.
  method = methods.build({**config, 'compression': None}, len(class_names))
  if read is not None:
    variables = mesh_lib.put_replicated(mesh, read.variables)
    return TrainedEncoder(method, variables, config, step, image_shape, class_names)
  shapes = jax.eval_shape(
      lambda key: method.encoder_variables(method.init(key, image_shape)),
      jax.random.key(0))
  variables = checkpoint.restore_encoder(
      folder, step, checkpoint.abstract(shapes, mesh_lib.replicated(mesh)))
  return TrainedEncoder(method, variables, config, step, image_shape, class_names)


def _read_file(path: pathlib.Path) -> artefact.Artefact | imported.Imported | None:
  """Reads an encoder that is one file; returns None for a folder of checkpoints."""
  if imported.is_imported(path):
    return imported.read(path)
  return artefact.read(path) if artefact.is_artefact(path) else None


def load_identified(identity: Mapping[str, Any],
                    mesh: jax.sharding.Mesh) -> TrainedEncoder:
  """Loads the encoder that `identify` described.

  Args:
    identity: the result of `identify` or `identify_if_there`.
    mesh: the devices.

  Raises:
    errors.UserError: `load` fails, or a later checkpoint was written after `identify`.
  """
  encoder = load(identity['path'], mesh)
  if encoder.step != identity['step']:
    raise errors.UserError(
        f'{identity["path"]} went from step {identity["step"]} to {encoder.step} while '
        'it was being read; run the same command again')
  return encoder


def identify(path: pathlib.Path | str) -> dict[str, Any]:
  """Returns the identity of the encoder that `load` would return.

  The digest is computed from the arrays and not from their files, because Orbax writes
  times and random names into the files. A copy of an encoder, or one from a repetition
  of the same training, therefore has the same digest. An encoder is read only once in a
  process (half a second for ResNet-50).

  Returns:
    'path', the absolute folder of the checkpoints; 'step'; 'digest', 16 characters.

  Raises:
    errors.UserError: no checkpoint is found or readable.
  """
  folder = checkpoint.locate(path)
  read = _read_file(folder)
  if read is not None:
    return {'path': str(folder), 'step': read.meta['step'], 'digest': read.digest[:16]}
  step, _ = checkpoint.read_config(folder)
  return {'path': str(folder), 'step': step,
          'digest': _digest(folder, step, (folder / str(step)).stat().st_mtime_ns)}


def identify_if_there(path: pathlib.Path | str) -> dict[str, Any]:
  """Returns the result of `identify`, or only the 'path' if it finds no encoder."""
  try:
    return identify(path)
  except errors.UserError:
    return {'path': str(pathlib.Path(path).absolute())}


@functools.lru_cache(maxsize=256)
def _digest(folder: pathlib.Path, step: int, written: int) -> str:
  """Hashes the names, shapes, dtypes and bytes of all arrays of an encoder."""
  del written  # a key of the cache: another checkpoint may replace one in this folder
  leaves = jax.tree_util.tree_leaves_with_path(checkpoint.read_arrays(folder, step))
  hashed = hashlib.sha256()
  for name, array in sorted((jax.tree_util.keystr(p), np.asarray(x))
                            for p, x in leaves):
    hashed.update(f'{name} {array.dtype} {array.shape} '.encode() + array.tobytes())
  return hashed.hexdigest()[:16]
