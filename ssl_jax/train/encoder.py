"""Loads the encoder of a checkpoint: nothing else of the run is needed."""

import dataclasses
import pathlib
from typing import Any

import jax

from ssl_jax import methods
from ssl_jax.methods import base
from ssl_jax.train import checkpoint
from ssl_jax.train import mesh as mesh_lib

Tree = Any


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A trained encoder. `method.encode(variables, batch)` gives its endpoints."""
  method: base.Base
  variables: Tree               # on all devices of the mesh
  config: dict[str, Any]        # of the run that made it
  step: int
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]


def load(path: pathlib.Path | str, mesh: jax.sharding.Mesh) -> Encoder:
  """Reads the newest checkpoint of a pre-training run.

  Args:
    path: the run's workdir, or the folder `checkpoints` in it.

  Raises:
    errors.UserError: no checkpoint, none that can be read, or another architecture.
  """
  folder = checkpoint.locate(path)
  step, config = checkpoint.read_config(folder)
  image_shape = tuple(config['dataset']['image_shape'])
  class_names = tuple(config['dataset']['class_names'])
  method = methods.build(config, len(class_names))
  shapes = jax.eval_shape(
      lambda key: method.encoder(method.init(key, image_shape)), jax.random.key(0))
  variables = checkpoint.restore_encoder(
      folder, step, checkpoint.abstract(shapes, mesh_lib.replicated(mesh)))
  return Encoder(method, variables, config, step, image_shape, class_names)
