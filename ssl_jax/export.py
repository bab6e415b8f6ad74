"""Writes a trained ResNet for other libraries, with torchvision's names and shapes.

    python -m ssl_jax.export --checkpoint=runs/simclr --output=encoder.safetensors

PyTorch loads a ResNet-18 to 152 with the stem 'imagenet' by

    weights = safetensors.torch.load_file('encoder.safetensors')
    network = torchvision.models.resnet18()
    network.load_state_dict(weights, strict=False)     # fc stays random
"""
from absl import flags

from ssl_jax import cli
from ssl_jax.jobs import export


def main() -> None:
  cli.setup_jax()
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  cli.require(_OUTPUT, 'encoder.safetensors')
  output = cli.output_file(_OUTPUT)
  print(export.show(export.run(checkpoint, output), output))


if __name__ == '__main__':
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a run, of pre-training or fine-tuning.')
  flags.DEFINE_enum('format', 'safetensors', ['safetensors'], 'Format of the file.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'The file, which ends in .safetensors.')
  cli.run(main)
