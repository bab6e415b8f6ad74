"""Exports a ResNet as a folder that timm and the Hugging Face Hub load.

The folder holds `model.safetensors` and `config.json`. timm builds the network that
`architecture` names, and takes its images from `pretrained_cfg`.
"""

import json
from typing import Any

from ssl_jax import errors
from ssl_jax.weights import as_safetensors, tensor_file, timm_vit, torchvision
from ssl_jax.weights import network as network_lib


def make(network: network_lib.Network,
         options: network_lib.Options) -> network_lib.Exported:
  """Returns the files of a folder.

  Args:
    network: the network.
    options: not used.

  Raises:
    errors.UserError: timm has no architecture of this form, or the network is a ViT.
  """
  del options
  if timm_vit.heads_of(network.model) is not None:
    raise errors.UserError(
        f'--format=timm does not hold the network {network.model["name"]!r}; '
        '--format=safetensors writes its weights by the names of timm, and prints the '
        'line that loads them there')
  if found := torchvision.deviation(network.model):
    raise errors.UserError(
        f'timm has no architecture for {found}, so that no folder of it can be '
        f'loaded; use {_instead(network.model)}')
  variables, left_out = network_lib.weights(network)
  tensors = torchvision.to_torchvision(variables)
  files = {
      'model.safetensors': tensor_file.serialize(
          tensors, {'format': 'pt', **network_lib.metadata(network)}),
      'config.json': json.dumps(config(network), indent=2).encode()}
  return network_lib.Exported(
      files, as_safetensors.describe(tensors),
      'timm.create_model("local-dir:OUTPUT", pretrained=True)', left_out)


def config(network: network_lib.Network) -> dict[str, Any]:
  """Returns the content of `config.json`.

  timm resizes the shorter side of an image to size / crop_pct and then crops, and it
  averages where it shrinks. We crop and then resize, with the filter of the config.
  Features of images of another size therefore differ slightly.
  """
  channels = network.image_shape[2]
  return {
      'architecture': network.model['name'],
      'num_classes': len(network.class_names),  # with 0, timm returns features
      'num_features': 512 if network.model['name'] in torchvision.PLAIN[:2] else 2048,
      **({'label_names': network.class_names} if network.class_names else {}),
      'pretrained_cfg': {
          'input_size': (channels, *network.size),
          'fixed_input_size': False,
          'pool_size': [-(-side // 32) for side in network.size],
          'interpolation': network.crop.method,
          'crop_pct': network.crop.proportion,
          'crop_mode': 'center',
          'mean': network.mean,
          'std': network.std,
          # timm can convert a first layer for RGB only to other numbers of channels.
          'first_conv': 'conv1' if channels == 3 else None,
          'classifier': 'fc'}}


def _instead(model: dict[str, Any]) -> str:
  """Returns the formats for a network that timm does not have."""
  if model.get('stem') == 'cifar' and model.get('width', 1) == 1:
    return ('--format=onnx or --format=jax, or --format=safetensors for a '
            f'torchvision.models.{model["name"]} with conv1 = Conv2d(3, 64, 3, '
            'padding=1, bias=False) and maxpool = Identity()')
  return '--format=onnx or --format=jax, which hold every network'


FORMAT = network_lib.Format(
    '', 'a folder with model.safetensors and config.json, for timm and the Hugging '
    'Face Hub', make, holds_program=False)
