"""Writes the vector of every image of a folder, a list of files or a data set.

    python -m ssl_jax.embed --checkpoint=runs/simclr --data=folder:photos \\
        --output=vectors.npz

Images need no labels. The file holds the name, the split, the label (if the image has
one) and the vector of every image. Its suffix is .npz, .csv or .parquet. Images that do
not decode are named and have no row.
"""
from absl import flags

from ssl_jax import cli
from ssl_jax.data import datasets
from ssl_jax.jobs import embed


def main() -> None:
  cli.setup_jax()
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  cli.require(_OUTPUT, 'vectors.npz')
  output = cli.output_file(_OUTPUT)
  pool = int(_POOL.value) if _POOL.value.isdigit() else _POOL.value
  vectors = embed.run(checkpoint, output, data=_DATA.value, data_dir=_DATA_DIR.value,
                      endpoint=_ENDPOINT.value, pool=pool, batch_size=_BATCH_SIZE.value)
  print(embed.show(vectors, output))
  for line in embed.compare(vectors, output, near_duplicates=_NEAR_DUPLICATES.value,
                            outliers=_OUTLIERS.value):
    print(line)


if __name__ == '__main__':
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run, or a file of weights '
      'such as a.safetensors.')
  _DATA = flags.DEFINE_string(
      'data', None,
      f"{datasets.DataConfig.NAMES}; the encoder's own data set if not given.")
  _DATA_DIR = flags.DEFINE_string(
      'data_dir', None, 'Folder of TFDS data sets; $TFDS_DATA_DIR if not given.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'The file, which ends in .npz, .csv or .parquet.')
  _ENDPOINT = flags.DEFINE_string(
      'endpoint', 'pooled', "Endpoint of the network, such as 'stage3' or 'pooled'.")
  _POOL = flags.DEFINE_string(
      'pool', 'mean', 'How a feature map becomes a vector: mean, max, flatten, or a '
      'number of regions per side.')
  _NEAR_DUPLICATES = flags.DEFINE_float(
      'near_duplicates', None, 'Writes all pairs of images whose cosine similarity is '
      'at least this number, such as 0.98, to <output>_near_duplicates.csv.',
      lower_bound=0, upper_bound=1)
  _OUTLIERS = flags.DEFINE_integer(
      'outliers', None, 'Writes this number of images that are least similar to their '
      'five nearest images to <output>_outliers.csv.', lower_bound=1)
  _BATCH_SIZE = flags.DEFINE_integer(
      'batch_size', 256, 'Images that are encoded at once.', lower_bound=1)
  cli.run(main)
