"""Converts a checkpoint of google-research/simclr to safetensors.

    pip install tensorflow
    python launch/convert_google_simclr.py r50_1x_sk0/model.ckpt-250228 r50.safetensors
    python -m ssl_jax.embed --checkpoint=r50.safetensors --data=folder:photos ...

The first argument is the common prefix of the files `.index` and `.data-00000-of-...`.
TensorFlow is needed for this script only. ResNets with selective kernels (sk1) are not
converted.
"""

import pathlib
import sys

import tensorflow as tf

from ssl_jax import errors
from ssl_jax.weights import google_simclr, tensor_file


def main(source: str, output: str) -> None:
  reader = tf.train.load_checkpoint(source)
  variables = {name: reader.get_tensor(name)
               for name in reader.get_variable_to_shape_map()}
  tensors, unused = google_simclr.to_torchvision(variables)
  tensor_file.write(pathlib.Path(output), tensors, google_simclr.METADATA)
  print(f'{output}: {len(tensors)} arrays. Not used: {", ".join(unused) or "none"}')


if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit(__doc__)
  try:
    main(*sys.argv[1:])
  except errors.UserError as e:
    sys.exit(f'ERROR: {e}')
