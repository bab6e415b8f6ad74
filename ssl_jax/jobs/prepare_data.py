"""Prepares a data set on disk by its name: CIFAR from its archive, or a folder."""

import os

from ssl_jax import errors
from ssl_jax.data import prepare


def run(dataset: str, data_dir: str | None = None, archive: str | None = None,
        source: str | None = None, name: str | None = None,
        max_bad_images: int = 10) -> str:
  """Prepares one data set; returns a sentence that names its folder.

  Args:
    dataset: 'cifar10', 'cifar100' or 'folder'.
    data_dir: the folder of TFDS data sets; None is $TFDS_DATA_DIR, or
      ~/tensorflow_datasets if that is not set.
    archive: for CIFAR, the path of the original archive; None downloads it.
    source: for 'folder', the path of the image folder.
    name: for 'folder', the name of the new data set.
    max_bad_images: for 'folder', the number of images that may be corrupt.

  Raises:
    errors.UserError: a flag is missing, or `prepare.cifar` or `prepare.image_folder`
      fails.
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
