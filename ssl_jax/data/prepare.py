"""Writes TFDS data sets in ArrayRecord form, without TensorFlow.

TFDS' own builders encode pixels with TensorFlow. The builders in this module yield
encoded images, whose bytes TFDS stores. `tfds.data_source` reads the result like that
of any other builder.
"""

import io
import os
import pathlib
import pickle
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import bad_images, download, folder, images

Examples = Callable[[], Iterator[dict[str, Any]]]


class Cifar(NamedTuple):
  """Describes the original archive of CIFAR-10 or CIFAR-100.

  Attributes:
    url: Address of the archive.
    md5: Checksum of the archive, in hexadecimal.
    train: Files of the train split in the archive.
    test: Files of the test split in the archive.
    meta: File with the names of the classes.
    labels: Feature -> its key in the files of a split, and that of its names in `meta`.
  """

  url: str
  md5: str
  train: tuple[str, ...]
  test: tuple[str, ...]
  meta: str
  labels: dict[str, tuple[bytes, bytes]]


CIFAR = {
    'cifar10': Cifar(
        'https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz',
        'c58f30108f718f92721af3b95e74349a',
        tuple(f'cifar-10-batches-py/data_batch_{i}' for i in range(1, 6)),
        ('cifar-10-batches-py/test_batch',), 'cifar-10-batches-py/batches.meta',
        {'label': (b'labels', b'label_names')}),
    'cifar100': Cifar(
        'https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',
        'eb9058c3a382ffc7106e4002c42a8d85',
        ('cifar-100-python/train',), ('cifar-100-python/test',),
        'cifar-100-python/meta',
        {'label': (b'fine_labels', b'fine_label_names'),
         'coarse_label': (b'coarse_labels', b'coarse_label_names')}),
}
_CIFAR_VERSION = '3.0.2'  # version of TFDS' builders, which have the same features
_FOLDER_VERSION = '1.0.0'


def cifar(name: str, data_dir: str, archive: str | None = None) -> pathlib.Path:
  """Prepares CIFAR-10 or CIFAR-100 from the original archive.

  Images are stored as PNG, in the order of the release. (TFDS' own builder shuffles
  them.)

  Args:
    name: 'cifar10' or 'cifar100'.
    data_dir: Folder of TFDS data sets; the archive is downloaded to its folder
      `downloads`.
    archive: Path of a copy of the archive; None downloads it.

  Returns:
    The folder of the data set, which is not changed if it is complete.

  Raises:
    errors.UserError: The download failed, the archive does not exist, or its checksum
      is wrong.
  """
  spec = CIFAR[name]
  if done := _complete(name, _CIFAR_VERSION, data_dir):
    return done
  if archive:
    path = pathlib.Path(archive).expanduser()
    download.verify(path, spec.md5)
  else:
    path = pathlib.Path(data_dir) / 'downloads' / spec.url.rsplit('/', 1)[1]
    download.fetch(spec.url, path, spec.md5)
  meta = _unpickle(path, spec.meta)
  features = {
      'id': tfds.features.Text(),
      'image': tfds.features.Image(shape=(32, 32, 3), encoding_format='png'),
      **{feature: tfds.features.ClassLabel(names=[n.decode() for n in meta[key]])
         for feature, (_, key) in spec.labels.items()}}
  return write(name, _CIFAR_VERSION, data_dir, features, {
      split: lambda split=split: cifar_examples(path, spec, split)
      for split in ('train', 'test')})


def image_folder(source: str, name: str, data_dir: str,
                 max_bad_images: int = 10) -> pathlib.Path:
  """Prepares an image folder (see `folder.scan`) as the data set `name`.

  Every image is decoded once to check it. The bytes of RGB JPEGs and PNGs are stored
  without a change, other images as RGB PNG. Images that do not decode are left out,
  with a warning for each.

  Args:
    source: Path of the image folder.
    name: Name of the new data set.
    data_dir: Folder of TFDS data sets.
    max_bad_images: Number of images that may fail to decode; one more is an error.

  Returns:
    The folder of the data set, which is not changed if it is complete.

  Raises:
    errors.UserError: TFDS does not accept the name, the folder is not accepted, or
      more than `max_bad_images` images do not decode.
  """
  if not re.fullmatch(r'[a-z][a-z0-9_]*', name):
    raise errors.UserError(f'--name is {name!r}; use lower-case letters, digits and '
                           'underscores, beginning with a letter')
  if done := _complete(name, _FOLDER_VERSION, data_dir):
    return done
  listings = folder.scan(source)
  classes = listings['train'].class_names
  features = {'id': tfds.features.Text(),
              'image': tfds.features.Image(shape=(None, None, 3))}
  if classes:
    features['label'] = tfds.features.ClassLabel(names=list(classes))
  for class_name in classes:
    if [class_name.strip()] != class_name.split('\n'):  # TFDS writes one name a line.
      raise errors.UserError(
          f'class folder {class_name!r} of {source} has a name with a line break or '
          'with space around it; rename the folder')
  bad = bad_images.BadImages(source, max_bad_images)
  return write(name, _FOLDER_VERSION, data_dir, features, {
      split: lambda listing=listing: _folder_examples(listing, source, bad)
      for split, listing in listings.items()})


def write(name: str, version: str, data_dir: str, features: dict[str, Any],
          splits: dict[str, Examples]) -> pathlib.Path:
  """Writes a TFDS data set; its folder has its final name only when it is complete.

  Args:
    name: Name of the data set.
    version: Version of the data set, such as '1.0.0'.
    data_dir: Folder of TFDS data sets; this one is written to data_dir/name/version.
    features: TFDS features by name; the value of an image is its encoded bytes.
    splits: Name -> a function that yields examples, whose order is kept.

  Returns:
    The folder of the data set.
  """
  class Writer(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version(version)

    def _info(self):
      supervised = ('image', 'label') if 'label' in features else None
      return tfds.core.DatasetInfo(
          builder=self, features=tfds.features.FeaturesDict(features),
          supervised_keys=supervised, disable_shuffling=True)

    def _split_generators(self, manager):
      del manager
      return {split: enumerate(examples()) for split, examples in splits.items()}

    def _generate_examples(self):
      raise NotImplementedError('each split has its own generator')

  Writer.name = name
  for leftover in (pathlib.Path(data_dir) / name).glob(f'incomplete.*_{version}'):
    logging.info('Removing the incomplete data set of an interrupted run: %s', leftover)
    shutil.rmtree(leftover)
  builder = Writer(data_dir=data_dir, file_format='array_record')
  builder.download_and_prepare(file_format='array_record')
  return pathlib.Path(builder.data_path)


def _complete(name: str, version: str, data_dir: str) -> pathlib.Path | None:
  """Returns the folder of a data set that is complete, or None."""
  path = pathlib.Path(data_dir) / name / version
  if not (path / 'dataset_info.json').exists():
    return None
  logging.info('%s is complete; remove it to prepare it again', path)
  return path


def _unpickle(archive: pathlib.Path, member: str) -> dict[bytes, Any]:
  """Reads one pickled file of an archive whose checksum has been verified."""
  with tarfile.open(archive) as tar:
    return pickle.load(tar.extractfile(member), encoding='bytes')


def cifar_examples(archive: pathlib.Path, spec: Cifar,
                    split: str) -> Iterator[dict[str, Any]]:
  """Yields one example per image, in the order of the release.

  Args:
    archive: Path of the archive.
    spec: Description of the archive.
    split: 'train' or 'test'.
  """
  count = 0
  for member in getattr(spec, split):
    batch = _unpickle(archive, member)
    pixels = batch[b'data'].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for i, image in enumerate(pixels):
      labels = {feature: batch[key][i] for feature, (key, _) in spec.labels.items()}
      yield {'id': f'{split}_{count:05d}', 'image': _png(Image.fromarray(image)),
             **labels}
      count += 1


def _folder_examples(listing: folder.FileList, root: str,
                     bad: bad_images.BadImages) -> Iterator[dict[str, Any]]:
  """Yields one example per image that decodes.

  Raises:
    errors.UserError: Too many images do not decode, or none decodes.
  """
  good = 0
  for path, label in zip(listing.paths, listing.labels, strict=True):
    try:
      encoded = _rgb(images.read_file(path))
    except images.BadImage as e:
      bad.add(path, e)
      continue
    good += 1
    name = pathlib.Path(path).relative_to(pathlib.Path(root).expanduser())
    example = {'id': os.fsencode(name).decode(errors='replace'), 'image': encoded}
    yield example | ({'label': int(label)} if listing.class_names else {})
  if not good:
    raise errors.UserError(f'{root} has a split of {len(listing.paths)} images, and '
                           'none of them decodes; repair or add some')


def _rgb(data: bytes) -> bytes:
  """Converts an image to an RGB JPEG or PNG; returns `data` itself if it is one."""
  image = images.open_image(data)
  if image.mode == 'RGB' and Image.open(io.BytesIO(data)).format in ('JPEG', 'PNG'):
    return data
  return _png(images.to_mode(image, 3))


def _png(image: Image.Image) -> bytes:
  out = io.BytesIO()
  image.save(out, 'PNG')
  return out.getvalue()
