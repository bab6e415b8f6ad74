"""The functions that a Python program calls: `ssl_jax.load` and `ssl_jax.pretrain`.

`import ssl_jax` does not import JAX. This module is imported when one of its functions
is used for the first time.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ssl_jax import errors, own_log
from ssl_jax.augment import views
from ssl_jax.data import feed, listed, sources
from ssl_jax.evaluators import features as features_lib
from ssl_jax.jobs import defaults
from ssl_jax.jobs import pretrain as pretrain_job
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import counter
from ssl_jax.train import encoder as encoder_lib


def load(path: str | os.PathLike) -> 'Encoder':
  """Loads a trained encoder onto all devices.

  Args:
    path: the workdir of a run, which is the --workdir of `python -m ssl_jax.pretrain`,
      or a file of weights that `weights.files` reads, such as 'a.safetensors'.

  Raises:
    errors.UserError: the folder holds no encoder, or one that cannot be read.
  """
  mesh = mesh_lib.data_mesh()
  return Encoder(encoder_lib.load(path, mesh), mesh)


def pretrain(data: str, out: str | os.PathLike, *, method: str = 'simclr',
             model: str = 'resnet18', epochs: float = 200.,
             image_size: int | None = None,
             overrides: Mapping[str, Any] | None = None) -> 'Encoder':
  """Trains an encoder without labels, and returns it.

  The same call resumes a training that was stopped. `jobs.defaults.config_for` chooses
  all other fields of the config by the images.

  Args:
    data: name of the data, such as 'folder:/path/to/images', 'files:table.csv' or
      'cifar10'; see `data.datasets.DataConfig.NAMES`.
    out: folder of the run; `load` and all commands accept it.
    method: name of the method, a key of `methods.METHODS` such as 'byol'.
    model: name of the encoder, such as 'resnet18' or 'resnet50'.
    epochs: length of the training.
    image_size: side of the square images in pixels; None is 96 for images in files,
      and the size of the images for other data sets.
    overrides: further fields of the config by section, such as
      {'feed': {'batch_size': 128}}.

  Raises:
    errors.UserError: an argument or the data are not accepted, or `out` holds another
      run.
  """
  with own_log.visible():
    config = defaults.config_for(data, method=method, model=model, epochs=epochs,
                                 image_size=image_size, overrides=overrides)
    pretrain_job.run(config, out)
  return load(out)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
  """A trained encoder, which computes features of images.

  Attributes:
    trained: the method, its variables and its config.
    mesh: the devices that hold the variables.
  """
  trained: encoder_lib.TrainedEncoder
  mesh: jax.sharding.Mesh

  @property
  def config(self) -> dict[str, Any]:
    """The config of the run that trained the encoder, as plain values."""
    return self.trained.config

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """The shape (H, W, C) of the images of the training, before `preprocess`."""
    return self.trained.image_shape

  def preprocess(self, images: jax.typing.ArrayLike) -> jax.Array:
    """Returns the input of the network: cropped, resized and normalised images.

    It can be traced by `jax.jit`.

    Args:
      images: uint8 [B, H, W, C], or float with values in [0, 1].

    Returns:
      Float [B, h, w, C], in the dtype of the computation.

    Raises:
      errors.UserError: the shape or the dtype is not accepted.
    """
    method = self.trained.method
    return views.make((method.preprocess,), jax.random.key(0),  # nothing is random
                      self._checked(images), method.dtype)

  def encode(self, images: jax.typing.ArrayLike) -> dict[str, jax.Array]:
    """Computes all endpoints of a batch, from the stem to the pooled features.

    It can be traced by `jax.jit` and differentiated by float images. It does not
    resize images beyond what `preprocess` does; `embed` does.

    Args:
      images: uint8 [B, H, W, C], or float with values in [0, 1].

    Returns:
      Arrays [B, ...] by name, such as 'pooled' [B, D] and 'stage1' [B, h, w, c].

    Raises:
      errors.UserError: the shape or the dtype is not accepted.
    """
    return _encode(self.trained.method.encode, self.trained.variables,
                   {'image': self._checked(images)})

  def embed(self, images: Sequence[listed.Item] | np.ndarray, *,
            endpoint: str = 'pooled', pool: str | int = 'mean',
            batch_size: int = 256) -> np.ndarray:
    """Computes one vector per image.

    Images may have any size. They are brought to the size of the training as the
    training images were, and then preprocessed as in evaluations. Gray images become
    RGB or vice versa, and transparent pixels become white. All processes of a
    multi-host program must call this function with the same images.

    Args:
      images: a list of paths and of arrays uint8 [H, W] or [H, W, C], or one array
        uint8 [N, H, W, C].
      endpoint: name of the endpoint, a key of what `encode` returns.
      pool: how a feature map becomes a vector; see `models.pooling.pooled`.
      batch_size: number of images that are encoded at once.

    Returns:
      Float32 [N, D], in the order of the images.

    Raises:
      errors.UserError: images do not decode (the message names them), or an argument
        is not accepted.
    """
    source = self._source(images)
    batch_size = batch_for(len(source), batch_size, self.mesh)
    batches = counter.counted(feed.eval_batches(source, batch_size, self.mesh),
                              len(source), batch_size)
    found = features_lib.extract(self.trained.method.encode, self.trained.variables,
                                 batches, endpoint, pool)
    if isinstance(source, listed.Listed):
      source.check_all_decode(found.indices)
    return found.features

  def _source(self, images: Sequence[listed.Item] | np.ndarray) -> sources.Source:
    """Returns the images at the size of the training."""
    data, shape = self.config['data'], self.image_shape
    if isinstance(images, np.ndarray) and images.shape[1:] == shape and len(images):
      listed.check_items([images[0]])
      return sources.Arrays(images, np.full(len(images), -1, np.int32))
    height, width, channels = shape
    source = listed.Listed(
        images, 'the given images', image_size=height if height == width else None,
        channels=channels, canvas=bool(data.get('canvas')))
    if source.image_shape != shape:
      raise errors.UserError(
          f'images have the shape {source.image_shape}, but the encoder was trained on '
          f'{shape}, which is not a square; resize them to it')
    return source

  def _checked(self, images: jax.typing.ArrayLike) -> jax.typing.ArrayLike:
    """Returns the images, once their shape and dtype are accepted."""
    shape, channels = np.shape(images), self.image_shape[2]
    dtype = getattr(images, 'dtype', None)
    if len(shape) != 4 or shape[3] != channels:
      raise errors.UserError(
          f'images has shape {shape}; this encoder accepts [B, H, W, {channels}]')
    if dtype is None or dtype != np.uint8 and not jax.numpy.issubdtype(
        dtype, jax.numpy.floating):
      raise errors.UserError(f'images has dtype {dtype}; accepted are uint8, and float '
                             'with values in [0, 1]')
    return images


def batch_for(images: int, batch_size: int, mesh: jax.sharding.Mesh) -> int:
  """Returns a batch size that the devices can share and that is not mostly padding.

  Few images get the next power of two, so that lists of many lengths compile few
  programs.

  Args:
    images: number of images in all.
    batch_size: largest number of images that are encoded at once.
    mesh: the devices.

  Raises:
    errors.UserError: the batch size is not positive.
  """
  if batch_size < 1:
    raise errors.UserError(f'batch_size is {batch_size}; use at least 1')
  wanted = min(batch_size, 1 << max(0, images - 1).bit_length())
  return -(-wanted // mesh.size) * mesh.size


@functools.partial(jax.jit, static_argnums=0)
def _encode(encode, variables, batch):
  return encode(variables, batch)
