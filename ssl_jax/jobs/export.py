"""Writes a trained ResNet as safetensors with torchvision's names and shapes."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.weights import matching, tensor_file, torchvision


@dataclasses.dataclass(frozen=True)
class Exported:
  """States what a file holds.

  Attributes:
    tensors: number of arrays.
    parameters: number of values in them.
    left_out: modules of the network that are not in the file, such as 'projector'.
    network: a class of torchvision that loads the file, or the reason why none does.
  """
  tensors: int
  parameters: int
  left_out: tuple[str, ...]
  network: str


def run(checkpoint: pathlib.Path | str, output: pathlib.Path) -> Exported:
  """Writes the encoder of a checkpoint, and its linear classifier if it has one.

  The metadata of the file hold, as text:

  * `format`, which is 'pt', as other libraries expect of weights for PyTorch;
  * `config`, the whole config of the run (JSON);
  * `mean` and `std` (JSON lists), the normalisation of images with values in [0, 1];
  * `size` (JSON [H, W]), the input of the network in pixels, and `crop`, the fraction
    of an image's sides that the central crop keeps before it is resized to `size`;
  * `endpoint`, the endpoint that is meant as the features, 'pooled' unless the network
    was fine-tuned on another one;
  * `class_names` (JSON list) if the file has a classifier, and `step`;
  * `commit`, the commit of the code that wrote the file.

  Args:
    checkpoint: the workdir of a run.
    output: the file.

  Raises:
    errors.UserError: the encoder cannot be read, torchvision has no names for
      it, or the suffix of `output` is another one.
  """
  if output.suffix != tensor_file.SUFFIX:
    raise errors.UserError(
        f'--output={output} ends in {output.suffix!r}; give a name that ends in '
        f'{tensor_file.SUFFIX}')
  encoder = encoder_lib.load(checkpoint, mesh_lib.data_mesh())
  variables = matching.without_wrappers(encoder.variables)
  exported = ['encoder', *(['head'] if has_linear_classifier(encoder.config) else [])]
  tensors = torchvision.to_torchvision({
      collection: {name: x for name, x in tree.items() if name in exported}
      for collection, tree in variables.items()})
  facts = metadata(encoder, 'head' in exported)
  if jax.process_index() == 0:
    tensor_file.write(output, tensors, facts)
  left_out = [name for name in variables['params'] if name not in exported]
  model = model_of(encoder.config)
  return Exported(
      len(tensors), sum(x.size for x in tensors.values()), tuple(left_out),
      torchvision.class_of(model) or f'names as in torchvision, which has no class of '
      f'the form {model}')


def show(exported: Exported, output: pathlib.Path) -> str:
  """Formats what a file holds as lines."""
  lines = [f'{output}: {exported.tensors} arrays, {exported.parameters:,} values; '
           f'{exported.network}']
  if exported.left_out:
    lines.append(f'Not in the file: {", ".join(exported.left_out)}')
  return '\n'.join(lines)


def metadata(encoder: encoder_lib.TrainedEncoder, classifier: bool) -> dict[str, str]:
  """Returns the metadata of a file, see `run`.

  Args:
    encoder: the encoder.
    classifier: whether the file holds a classifier.
  """
  policy, config = encoder.method.preprocess, encoder.config
  height, width, channels = encoder.image_shape
  size = (height, width) if policy.size is None else (policy.size, policy.size)
  crop, = policy.stages(size[0])
  facts = {
      'config': config, 'step': encoder.step, 'size': size, 'crop': crop.proportion,
      'mean': policy.mean or (0.,) * channels, 'std': policy.std or (1.,) * channels}
  if classifier:
    facts['class_names'] = encoder.class_names
  return {'format': 'pt', 'endpoint': config.get('features', {}).get(
      'endpoint', 'pooled'), 'commit': provenance.collect()['commit'],
          **{name: json.dumps(value) for name, value in facts.items()}}


def has_linear_classifier(config: Mapping[str, Any]) -> bool:
  """Returns whether a network classifies its data linearly by the endpoint 'pooled'.

  The classifier of RotNet's rotations does not count.

  Args:
    config: of the run that trained the network.
  """
  if 'pretrained' in config:
    return (config['head']['name'] == 'linear'
            and config['features']['endpoint'] == 'pooled')
  return config['method']['name'] == 'supervised'


def model_of(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the section `model` of a run, or of the run that was fine-tuned."""
  while 'pretrained' in config:
    config = config['pretrained']
  return dict(config['model'])
