"""Exports a trained network in one of the formats of `weights.formats`."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from ssl_jax import errors, methods
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes, provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.weights import formats
from ssl_jax.weights import network as network_lib


def run(checkpoint: pathlib.Path | str, output: pathlib.Path,
        format: str = 'safetensors', *, endpoint: str | None = None,
        preprocess: bool | None = None) -> network_lib.Exported:
  """Writes the network of a checkpoint as a file or a folder.

  Files of weights hold the encoder, and its linear classifier if it has one. Files of
  programs hold the whole network, which computes in float32.

  All formats but jax also hold facts as text:

  * `config`, the whole config of the run (JSON);
  * `mean` and `std` (JSON lists), the normalisation of images with values in [0, 1];
  * `size` (JSON [H, W]), the input of the network in pixels, and `crop`, the fraction
    of an image's sides that the central crop keeps before it is resized to `size`;
  * `endpoint`, the endpoint that is meant as the features, 'pooled' unless the network
    was fine-tuned on another one;
  * `class_names` (JSON list) if the file has a classifier, and `step`;
  * `commit`, the commit of the code that wrote the file;
  * in safetensors files `format`, which is 'pt', as other libraries expect of weights
    for PyTorch.

  Args:
    checkpoint: the workdir of a run.
    output: the file, or the folder, which may exist.
    format: a key of `formats.FORMATS`.
    endpoint: name of the endpoint that a program computes; None is 'pooled'.
    preprocess: whether a program crops, resizes and normalises its input, uint8
      images, as `encoder.preprocess` does; None is True, because features of wrongly
      normalised images are wrong without a message.

  Raises:
    errors.UserError: the encoder cannot be read, the format cannot hold it, or
      `output` or an option does not suit the format.
  """
  chosen = errors.lookup('--format', format, formats.FORMATS)
  _check(output, format, {'endpoint': endpoint, 'preprocess': preprocess})
  network = describe(encoder_lib.load(checkpoint, mesh_lib.data_mesh()))
  options = network_lib.Options(endpoint or 'pooled', preprocess is not False)
  exported = chosen.make(network, options)
  with processes.fail_together():
    if jax.process_index() == 0:
      _write(output, exported.files)
  return exported


def show(exported: network_lib.Exported, output: pathlib.Path) -> str:
  """Formats what was exported as lines."""
  lines = [f'{output}: {exported.content}',
           exported.use.replace('OUTPUT', str(output))]
  if exported.left_out:
    lines.append(f'Not in the file: {", ".join(exported.left_out)}')
  return '\n'.join(lines)


def describe(encoder: encoder_lib.TrainedEncoder) -> network_lib.Network:
  """Returns an encoder as the formats receive it.

  It computes in float32, so that the machine that exports it has no effect on what
  'auto' means as the precision.
  """
  config = encoder.config
  method = methods.build(
      {**config, 'compression': None,
       'train': {**config['train'], 'precision': 'float32'}}, len(encoder.class_names))
  policy = method.preprocess
  height, width, channels = encoder.image_shape
  size = (height, width) if policy.size is None else (policy.size, policy.size)
  crop, = policy.stages(size[0])
  return network_lib.Network(
      variables=jax.device_get(encoder.variables),
      apply=lambda variables, x: method.network.apply(variables, x, train=False),
      image_shape=encoder.image_shape, size=size, crop=crop,
      mean=policy.mean or (0.,) * channels, std=policy.std or (1.,) * channels,
      class_names=encoder.class_names if has_linear_classifier(config) else (),
      model=model_of(config), config=config, step=encoder.step,
      commit=provenance.collect()['commit'])


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


def _check(output: pathlib.Path, name: str, options: Mapping[str, Any]) -> None:
  """Raises if the path or an option does not suit the format."""
  chosen = formats.FORMATS[name]
  suffixes = {f.suffix: other for other, f in formats.FORMATS.items() if f.suffix}
  if chosen.suffix and output.suffix != chosen.suffix:
    other = suffixes.get(output.suffix)
    raise errors.UserError(
        f'--output={output} ends in {output.suffix!r}; give a name that ends in '
        f'{chosen.suffix}{f", or --format={other}" if other else ""}')
  if not chosen.suffix and (output.suffix in suffixes or output.is_file()):
    raise errors.UserError(
        f'--output={output} is a file, but --format={name} writes a folder; give the '
        'name of a folder')
  given = [f'--{option}' for option, value in options.items() if value is not None]
  if given and not chosen.holds_program:
    programs = [other for other, f in formats.FORMATS.items() if f.holds_program]
    raise errors.UserError(
        f'{given[0]} has no effect on --format={name}, which holds weights and no '
        f'computation; leave it out, or use --format={" or --format=".join(programs)}')


def _write(output: pathlib.Path, files: Mapping[str, bytes]) -> None:
  """Writes files, each of which replaces the old one atomically."""
  for name, data in files.items():
    path = output / name  # the path of the output if the name is ''
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    partial.write_bytes(data)
    os.replace(partial, path)
