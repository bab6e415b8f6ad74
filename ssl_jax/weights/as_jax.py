"""Exports a network as a file that JAX runs on CPUs, NVIDIA GPUs and TPUs."""

import jax
import jax.export

from ssl_jax.weights import network as network_lib

PLATFORMS = ('cpu', 'cuda', 'tpu')


def make(network: network_lib.Network,
         options: network_lib.Options) -> network_lib.Exported:
  """Returns the file of a program for batches of any size.

  It is StableHLO, serialized by `jax.export`. A program that runs it needs JAX and
  flatbuffers, and not this library. Gradients are not exported.

  Args:
    network: the network.
    options: the result and the input of the program.

  Raises:
    errors.UserError: the network has no such endpoint, or its weights are too large.
  """
  program = network_lib.program(network, options)
  batch, = jax.export.symbolic_shape('B')
  exported = jax.export.export(jax.jit(program.call), platforms=PLATFORMS)(
      jax.ShapeDtypeStruct((batch, *program.shape), program.dtype))
  return network_lib.Exported(
      {'': bytes(exported.serialize())},
      f'{program}, for {", ".join(PLATFORMS)}',
      'jax.export.deserialize(bytearray(open("OUTPUT", "rb").read())).call(images)')


FORMAT = network_lib.Format(
    '.jax', 'the computation with its weights, for programs that have JAX on a CPU, '
    'GPU or TPU and not this library', make, holds_program=True)
