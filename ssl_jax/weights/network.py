"""Describes a trained network as all export formats receive it."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors
from ssl_jax.augment import first_stages
from ssl_jax.parallel import platforms
from ssl_jax.weights import matching

Tree = Any
# jax.export and ONNX keep weights in buffers whose offsets are 32-bit integers.
_MOST_BYTES = 2**31 - 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """A trained network, with the facts that another program needs to use it.

  Attributes:
    variables: {'params', 'batch_stats'} in host memory, as `apply` takes them.
    apply: maps variables and normalised images, float32 [B, h, w, C], to endpoints.
    image_shape: [H, W, C] of the images of the training.
    size: (h, w), the input of the network in pixels.
    crop: the central crop that makes the input from an image.
    mean: per channel, is subtracted from values in [0, 1].
    std: per channel, divides the result.
    class_names: the classes of a linear classifier on the endpoint 'pooled', which is
      the module 'head'; empty if the network has no such classifier.
    model: the section `model` of the config.
    config: the plain config of the run.
    step: the number of training steps.
    commit: the commit of the code that exports the network.
  """
  variables: Tree
  apply: Callable[[Tree, jax.Array], dict[str, jax.Array]]
  image_shape: tuple[int, int, int]
  size: tuple[int, int]
  crop: first_stages.CenterCrop
  mean: tuple[float, ...]
  std: tuple[float, ...]
  class_names: tuple[str, ...]
  model: Mapping[str, Any]
  config: Mapping[str, Any]
  step: int
  commit: str


class Options(NamedTuple):
  """Holds the choices of formats that hold the computation.

  Attributes:
    endpoint: name of the endpoint that is the result.
    preprocess: whether the input is uint8 images [B, H, W, C], which are cropped,
      resized and normalised, instead of the input of the network.
  """
  endpoint: str = 'pooled'
  preprocess: bool = True


class Exported(NamedTuple):
  """Holds what a format makes of a network.

  Attributes:
    files: bytes by name below the output; the name is '' for a single file.
    content: says what is in the files.
    use: says how another program loads them; OUTPUT stands for the path.
    left_out: modules of the network that are not in the files, such as 'projector'.
  """
  files: Mapping[str, bytes]
  content: str
  use: str
  left_out: tuple[str, ...] = ()


class Format(NamedTuple):
  """Describes a format.

  Attributes:
    suffix: the suffix of the file; '' for a folder.
    doc: says who reads it, for --help.
    make: returns the files of a network.
    holds_program: whether the files hold the computation, so that `Options` count.
  """
  suffix: str
  doc: str
  make: Callable[[Network, Options], Exported]
  holds_program: bool


class Program(NamedTuple):
  """A function of images alone, with all weights inside.

  Attributes:
    call: maps images [B, *shape] to the endpoint [B, ...], float32.
    shape: the shape of one image.
    dtype: the dtype of images, uint8 or float32.
    result: the shape of the endpoint of one image.
  """
  call: Callable[[jax.Array], jax.Array]
  shape: tuple[int, int, int]
  dtype: np.dtype
  result: tuple[int, ...]

  def __str__(self) -> str:
    given, result = (', '.join(map(str, ('B', *shape)))
                     for shape in (self.shape, self.result))
    return f'images {self.dtype} [{given}] -> float32 [{result}]'


def program(network: Network, options: Options) -> Program:
  """Returns the function of a network that a format stores.

  It is traced in the form for GPUs and TPUs on every machine. The form for CPUs
  (`models.conv`) only makes gradients faster. It has the same values, and it would be
  the slower one on GPUs and TPUs.

  Args:
    network: the network.
    options: the result and the input of the function.

  Raises:
    errors.UserError: the network has no such endpoint, or its weights are too large.
  """
  bytes_ = sum(x.nbytes for x in jax.tree.leaves(network.variables))
  if bytes_ > _MOST_BYTES:
    raise errors.UserError(
        f'the weights have {bytes_ / 2**30:.1f} GiB, but files of programs hold less '
        'than 2 GiB; use --format=safetensors')
  channels = network.image_shape[2]
  shape, dtype, prepare = ((*network.size, channels), np.float32, lambda x: x)
  if options.preprocess:
    shape, dtype, prepare = network.image_shape, np.uint8, _preprocessing(network)

  def endpoints(images):
    with platforms.compile_for('tpu'):
      return network.apply(network.variables, prepare(images))

  found = jax.eval_shape(endpoints, jax.ShapeDtypeStruct((1, *shape), dtype))
  result = errors.lookup('--endpoint', options.endpoint, found).shape[1:]
  return Program(
      lambda images: endpoints(images)[options.endpoint].astype(jnp.float32),
      shape, np.dtype(dtype), result)


def metadata(network: Network) -> dict[str, str]:
  """Returns the facts of a network as text; `jobs.export.run` lists them."""
  features = network.config.get('features', {})
  facts = {'config': network.config, 'step': network.step, 'size': network.size,
           'crop': network.crop.proportion, 'mean': network.mean, 'std': network.std}
  if network.class_names:
    facts['class_names'] = network.class_names
  return {'endpoint': features.get('endpoint', 'pooled'), 'commit': network.commit,
          **{name: json.dumps(value) for name, value in facts.items()}}


def weights(network: Network) -> tuple[Tree, tuple[str, ...]]:
  """Returns the variables that formats without computation hold, and what they lack.

  Returns:
    {'params', 'batch_stats'} with the module 'encoder', and 'head' if it classifies
    linearly; and the names of all other modules.
  """
  variables = matching.without_wrappers(network.variables)
  kept = ('encoder', 'head') if network.class_names else ('encoder',)
  return ({collection: {name: x for name, x in tree.items() if name in kept}
           for collection, tree in variables.items()},
          tuple(name for name in variables['params'] if name not in kept))


def _preprocessing(network: Network) -> Callable[[jax.Array], jax.Array]:
  """Returns `preprocess` of an encoder, for whole batches of images of one shape.

  It has no random keys and no `vmap`, which jax2onnx does not translate for batches
  of unknown size.
  """
  resampling = network.crop.matrices(network.image_shape[:2])
  mean, std = (np.float32(x).reshape(1, 1, 1, -1) for x in (network.mean, network.std))

  def preprocess(images):
    x = images.astype(jnp.float32) / 255
    if resampling is not None:
      rows, columns = map(np.asarray, resampling)
      x = jnp.einsum('bhwc,jw->bhjc', x, columns, precision='highest')
      x = jnp.einsum('bhjc,ih->bijc', x, rows, precision='highest')
    return (jnp.clip(x, 0, 1) - mean) / std
  return preprocess
