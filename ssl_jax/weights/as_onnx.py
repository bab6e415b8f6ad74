"""Exports a network as an ONNX file, by jax2onnx."""

import types
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors
from ssl_jax.weights import network as network_lib


def make(network: network_lib.Network,
         options: network_lib.Options) -> network_lib.Exported:
  """Returns the file of a program for batches of any size.

  Args:
    network: the network.
    options: the result and the input of the program.

  Raises:
    errors.UserError: jax2onnx is not installed, the network has no such endpoint, or
      its weights are too large.
  """
  try:
    import jax2onnx
  except ImportError as e:
    raise errors.UserError(
        '--format=onnx needs jax2onnx, which is not installed; install it by '
        "`pip install -e '.[onnx]'` in an environment of its own, because it installs "
        'an older orbax-checkpoint. --format=jax needs nothing else') from e
  program = network_lib.program(network, options)
  images = types.SimpleNamespace(shape=('B', *program.shape), dtype=program.dtype)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # jax2onnx asks for float64, which JAX rounds.
    model = jax2onnx.to_onnx(
        _with_padded_pools(program.call), [images], model_name='encoder',
        input_names=['images'], output_names=[options.endpoint])
  _store_as_float32(model.graph)
  for name, text in network_lib.metadata(network).items():
    model.metadata_props.add(key=name, value=text)
  return network_lib.Exported(
      {'': model.SerializeToString()},
      f'{program}, opset {model.opset_import[0].version}',
      'onnxruntime.InferenceSession("OUTPUT").run(None, {"images": images})[0]')


def _with_padded_pools(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
  """Returns a function whose pools have padding in pixels, also inside jax2onnx.

  jax2onnx 0.17.1 replaces Flax' pools while it traces by functions that misread such
  padding. Here the images are padded first.

  Args:
    call: the function.
  """
  def traced(images):
    theirs = nn.max_pool, nn.avg_pool
    pad = lambda x, padding, value: jnp.pad(
        x, ((0, 0), *padding, (0, 0)), constant_values=value)

    def max_pool(x, window_shape, strides, padding):
      return theirs[0](pad(x, padding, -jnp.inf), window_shape=window_shape,
                       strides=strides, padding='VALID')

    def avg_pool(x, window_shape, strides, padding, count_include_pad=True):
      mean = lambda x: theirs[1](pad(x, padding, 0), window_shape=window_shape,
                                 strides=strides, padding='VALID')
      return mean(x) if count_include_pad else mean(x) / mean(jnp.ones_like(x))

    with mock.patch.multiple(nn, max_pool=max_pool, avg_pool=avg_pool):
      return call(images)
  return traced


def _store_as_float32(graph: Any) -> None:
  """Converts float64 constants, which no program here has.

  jax2onnx 0.17.1 stores the value that `jnp.pad` appends as float64, and ONNX Runtime
  then refuses the file.

  Args:
    graph: onnx.GraphProto, which is changed.
  """
  from onnx import TensorProto, numpy_helper
  for constant in graph.initializer:
    if constant.data_type == TensorProto.DOUBLE:
      value = numpy_helper.to_array(constant).astype(np.float32)
      constant.CopyFrom(numpy_helper.from_array(value, constant.name))
  for info in graph.value_info:
    if info.type.tensor_type.elem_type == TensorProto.DOUBLE:
      info.type.tensor_type.elem_type = TensorProto.FLOAT


FORMAT = network_lib.Format(
    '.onnx', 'the computation with its weights, for ONNX Runtime and other programs '
    'without JAX', make, holds_program=True)
