"""Exports weights as a safetensors file with the names of torchvision or timm."""

from ssl_jax.weights import network as network_lib
from ssl_jax.weights import tensor_file, timm_vit, torchvision


def make(network: network_lib.Network,
         options: network_lib.Options) -> network_lib.Exported:
  """Returns a file with the encoder, and its linear classifier if it has one.

  Args:
    network: the network.
    options: not used.

  Raises:
    errors.UserError: torchvision and timm have no names for the network.
  """
  del options
  variables, left_out = network_lib.weights(network)
  vit = timm_vit.heads_of(network.model) is not None
  tensors = (timm_vit.to_timm if vit else torchvision.to_torchvision)(variables)
  # Other libraries expect the format 'pt' of weights for PyTorch.
  data = tensor_file.serialize(
      tensors, {'format': 'pt', **network_lib.metadata(network)})
  use = (_use_of_vit if vit else _use_of_resnet)(network)
  return network_lib.Exported({'': data}, describe(tensors), use, left_out)


def _use_of_resnet(network: network_lib.Network) -> str:
  """Returns how torchvision loads a ResNet."""
  found = torchvision.class_of(network.model)
  return (f'{found}().load_state_dict(safetensors.torch.load_file("OUTPUT"), '
          'strict=False)' if found else 'The names are those of torchvision, which has '
          f'no class of the form {dict(network.model)}')


def _use_of_vit(network: network_lib.Network) -> str:
  """Returns how timm loads a vision transformer."""
  model, arguments = network.model, {'img_size': tuple(network.size)}
  channels, heads = timm_vit.FORMS[model['name']]
  arguments |= {'patch_size': model.get('patch', 16),
                'num_classes': len(network.class_names)}
  if (width := model.get('width', 1)) != 1:
    arguments['embed_dim'] = int(channels * width)
  if (depth := model.get('depth', 12)) != 12:
    arguments['depth'] = depth
  if timm_vit.heads_of(model) != heads:
    arguments['num_heads'] = timm_vit.heads_of(model)
  if registers := model.get('registers'):
    arguments |= {'reg_tokens': registers, 'no_embed_class': True}
  if network.image_shape[2] != 3:
    arguments['in_chans'] = network.image_shape[2]
  listed = ', '.join(f'{name}={value!r}' for name, value in arguments.items())
  return (f'timm.create_model("{model["name"]}_patch16_224", {listed})'
          '.load_state_dict(safetensors.torch.load_file("OUTPUT"))')


def describe(tensors: dict) -> str:
  """Returns how many arrays and values a file has."""
  return f'{len(tensors)} arrays, {sum(x.size for x in tensors.values()):,} values'


FORMAT = network_lib.Format(
    tensor_file.SUFFIX, 'weights by the names of torchvision or timm, for PyTorch and '
    'for --config.model.init_from', make, holds_program=False)
