"""Exports weights as a safetensors file with torchvision's names and shapes."""

from ssl_jax.weights import network as network_lib
from ssl_jax.weights import tensor_file, torchvision


def make(network: network_lib.Network,
         options: network_lib.Options) -> network_lib.Exported:
  """Returns a file with the encoder, and its linear classifier if it has one.

  Args:
    network: the network.
    options: not used.

  Raises:
    errors.UserError: torchvision has no names for the network.
  """
  del options
  variables, left_out = network_lib.weights(network)
  tensors = torchvision.to_torchvision(variables)
  # Other libraries expect the format 'pt' of weights for PyTorch.
  data = tensor_file.serialize(
      tensors, {'format': 'pt', **network_lib.metadata(network)})
  found = torchvision.class_of(network.model)
  use = (f'{found}().load_state_dict(safetensors.torch.load_file("OUTPUT"), '
         'strict=False)' if found else 'The names are those of torchvision, which has '
         f'no class of the form {dict(network.model)}')
  return network_lib.Exported({'': data}, describe(tensors), use, left_out)


def describe(tensors: dict) -> str:
  """Returns how many arrays and values a file has."""
  return f'{len(tensors)} arrays, {sum(x.size for x in tensors.values()):,} values'


FORMAT = network_lib.Format(
    tensor_file.SUFFIX, 'weights by the names of torchvision, for PyTorch and for '
    '--config.model.init_from', make, holds_program=False)
