"""Loads the encoder of a checkpoint: nothing else of the run is needed."""

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
from ssl_jax.train import checkpoint

Tree = Any


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
  """A trained encoder. `method.encode(variables, batch)` gives its endpoints."""
  method: base.Base
  variables: Tree               # on all devices of the mesh
  config: dict[str, Any]        # of the run that made it
  step: int
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]


def load(path: pathlib.Path | str, mesh: jax.sharding.Mesh) -> TrainedEncoder:
  """Reads the newest checkpoint of a pre-training run.

  Args:
    path: the run's workdir, the folder `checkpoints` in it, or the file of a
      compressed network.

  Raises:
    errors.UserError: no checkpoint, none that can be read, or another architecture.
  """
  folder = checkpoint.locate(path)
  if artefact.is_artefact(folder):
    read = artefact.read(folder)
    step, config = read.meta['step'], read.meta['config']
  else:
    step, config = checkpoint.read_config(folder)
  image_shape = tuple(config['dataset']['image_shape'])
  class_names = tuple(config['dataset']['class_names'])
  # The weights of a compressed encoder were compressed when they were saved.
  method = methods.build({**config, 'compression': None}, len(class_names))
  if artefact.is_artefact(folder):
    variables = mesh_lib.put_replicated(mesh, read.variables)
    return TrainedEncoder(method, variables, config, step, image_shape, class_names)
  shapes = jax.eval_shape(
      lambda key: method.encoder_variables(method.init(key, image_shape)),
      jax.random.key(0))
  variables = checkpoint.restore_encoder(
      folder, step, checkpoint.abstract(shapes, mesh_lib.replicated(mesh)))
  return TrainedEncoder(method, variables, config, step, image_shape, class_names)


def load_identified(identity: Mapping[str, Any],
                    mesh: jax.sharding.Mesh) -> TrainedEncoder:
  """Loads what `identify` described.

  Raises:
    errors.UserError: as `load`, or a later checkpoint came in between.
  """
  encoder = load(identity['path'], mesh)
  if encoder.step != identity['step']:
    raise errors.UserError(
        f'{identity["path"]} went from step {identity["step"]} to {encoder.step} while '
        'it was being read; run the same command again')
  return encoder


def identify(path: pathlib.Path | str) -> dict[str, Any]:
  """Returns what tells the encoder that `load` would give from any other one.

  The digest is of the arrays and not of the files that hold them, into which Orbax
  writes times and random names: a copy, or the same training done again, has the
  same digest. An encoder is read once in a process (ResNet-50: half a second).

  Returns:
    'path', the absolute folder of the checkpoints; 'step'; 'digest', 16 characters.

  Raises:
    errors.UserError: no checkpoint, or none that can be read.
  """
  folder = checkpoint.locate(path)
  if artefact.is_artefact(folder):
    read = artefact.read(folder)
    return {'path': str(folder), 'step': read.meta['step'], 'digest': read.digest[:16]}
  step, _ = checkpoint.read_config(folder)
  return {'path': str(folder), 'step': step,
          'digest': _digest(folder, step, (folder / str(step)).stat().st_mtime_ns)}


def identify_if_there(path: pathlib.Path | str) -> dict[str, Any]:
  """Returns what `identify` does, or the 'path' alone where the encoder is gone."""
  try:
    return identify(path)
  except errors.UserError:
    return {'path': str(pathlib.Path(path).absolute())}


@functools.lru_cache(maxsize=256)
def _digest(folder: pathlib.Path, step: int, written: int) -> str:
  """Hashes the names, shapes, dtypes and bytes of all arrays of an encoder."""
  del written  # only tells a checkpoint from an earlier one in the same place
  leaves = jax.tree_util.tree_leaves_with_path(checkpoint.read_encoder(folder, step))
  hashed = hashlib.sha256()
  for name, array in sorted((jax.tree_util.keystr(p), np.asarray(x))
                            for p, x in leaves):
    hashed.update(f'{name} {array.dtype} {array.shape} '.encode() + array.tobytes())
  return hashed.hexdigest()[:16]
