"""Writes a trained network for other libraries and programs.

    python -m ssl_jax.export --checkpoint=runs/simclr --output=encoder.safetensors
    python -m ssl_jax.export --checkpoint=runs/simclr --format=jax --output=encoder.jax

A file of weights needs a program that knows the network. The formats jax and onnx hold
the computation too, take uint8 images and suit every network. The command prints the
line of code that loads the result.
"""
from absl import flags

from ssl_jax import cli
from ssl_jax.jobs import export
from ssl_jax.weights import formats


def main() -> None:
  cli.setup_jax()
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  suffix = formats.FORMATS[_FORMAT.value].suffix
  cli.require(_OUTPUT, f'encoder{suffix}')
  output = cli.output_file(_OUTPUT, folder=not suffix)
  exported = export.run(checkpoint, output, _FORMAT.value, endpoint=_ENDPOINT.value,
                        preprocess=_PREPROCESS.value)
  print(export.show(exported, output))


if __name__ == '__main__':
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a run, of pre-training or fine-tuning.')
  _FORMAT = flags.DEFINE_enum(
      'format', 'safetensors', list(formats.FORMATS), 'Format of the result: ' +
      '; '.join(f'{name} is {f.doc}' for name, f in formats.FORMATS.items()) + '.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'The file, which ends in .safetensors, .jax or .onnx, or the '
      'folder for timm.')
  _ENDPOINT = flags.DEFINE_string(
      'endpoint', None, 'Endpoint that the formats jax and onnx compute, such as '
      "'stage3' or 'logits'; 'pooled' if not given.")
  _PREPROCESS = flags.DEFINE_bool(
      'preprocess', None, 'Whether the formats jax and onnx take uint8 images of the '
      'size of the training, and crop, resize and normalise them; true if not given. '
      'With --nopreprocess they take float32 images that are already normalised.')
  cli.run(main)
