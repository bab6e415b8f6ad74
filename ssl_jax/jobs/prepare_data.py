"""Prepares a data set on disk by its name: CIFAR from its archive, or a folder."""

import os

from ssl_jax import errors
from ssl_jax.data import prepare


def run(dataset: str, data_dir: str | None = None, archive: str | None = None,
        source: str | None = None, name: str | None = None,
        max_bad_images: int = 10) -> str:
  """Prepares one data set; returns the sentence that says where it is.

  Raises:
    errors.UserError: see `prepare.cifar` and `prepare.image_folder`, or a flag
      is missing.
  """
  data_dir = os.path.expanduser(
      data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets')
  if dataset == 'folder':
    if not source or not name:
      raise errors.UserError(f'--{"name" if source else "source"} is missing; '
                             '--dataset=folder needs --source and --name')
    path = prepare.image_folder(source, name, data_dir, max_bad_images)
  else:
    errors.lookup('--dataset', dataset, {**prepare.CIFAR, 'folder': None})
    name, path = dataset, prepare.cifar(dataset, data_dir, archive)
  return (f'{name} is ready in {path}. Train on it with TFDS_DATA_DIR={data_dir} and '
          f'--config.data.name={name}')
