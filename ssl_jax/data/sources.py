"""From a name in a config to a `Source`."""

from collections.abc import Callable, Mapping
from typing import Any

from ssl_jax import errors
from ssl_jax.data import base, builtin, folder, records, subsets

_FOLDER = 'folder:'
_SYNTHETIC_FIELDS = ('num_examples', 'num_classes', 'seed')
Openers = dict[str, Callable[[], base.Source]]


def load(name: str, split: str = 'train', *, data_dir: str | None = None,
         image_size: int | None = None, canvas: bool = False, channels: int = 3,
         max_bad_images: int = 10, examples_fraction: float = 1.0,
         validation_fraction: float = 0.1,
         split_seed: int = 0, labels: Mapping[str, Any] | None = None,
         **fields: Any) -> base.Source:
  """Opens one split of a data set.

  Where a set has no validation split of its own, one is cut from `train`, the
  same fraction of every class; `train` is then what remains. With
  `validation_fraction=0`, `train` is everything.

  Args:
    name: A TFDS name ('cifar10'), 'folder:/path/to/root' (see `folder.scan`),
      'digits' or 'synthetic'.
    split: 'train', 'validation', 'test', or another split of a TFDS data set.
    data_dir: Where TFDS data sets are; None is $TFDS_DATA_DIR.
    image_size: Side of the square images; None keeps their size, which then
      must be the same for all.
    canvas: False: images are cut to their centre square, which is resampled to
      `image_size`. True: they stay whole, are shrunk (never enlarged) to fit a square
      of that side and lie in its top left; batches then say how large they are, and
      views are cut from that part. (Images of 'digits' and 'synthetic' fill theirs.)
    channels: 3 or 1; images are converted.
    max_bad_images: How many images may fail to decode and be skipped.
    examples_fraction: Of every class of every split, what there is to be at
      all; at least 20 images of it, see `subsets.thin`. For rehearsals.
    validation_fraction: What is cut from `train`, in [0, 1).
    split_seed: Of that cut.
    labels: A label subset of `train`, after the cut; see `subsets.choose`.
    **fields: `num_examples`, `num_classes` and `seed` of 'synthetic'.

  Raises:
    errors.UserError: In one sentence: no such data set (and how to get it), no
      such split, a field that the set does not have, an empty or mislabelled folder.
  """
  _check_fields(name, split, image_size, labels, fields)
  if canvas and image_size is None:
    raise errors.UserError('config.data.canvas is True, but config.data.image_size, '
                           'the side of the canvas, is not set; 512 suits ImageNet')
  how = dict(image_size=image_size, channels=channels, max_bad_images=max_bad_images,
             canvas=canvas)
  if name.startswith(_FOLDER):
    native = _folder(name, **how)
  elif name == 'digits':
    arrays = builtin.digits(image_size, channels)
    native = {k: lambda k=k: arrays[k] for k in arrays}
  elif name == 'synthetic':
    native = {k: lambda k=k: builtin.synthetic(k, image_size, channels, **fields)
              for k in ('train', 'test')}
  else:
    native = _tfds(name, data_dir, **how)
  if examples_fraction != 1:
    native = {k: lambda full=full: _thinned(full(), examples_fraction)
              for k, full in native.items()}
  source = _open(native, name, split, validation_fraction, split_seed)
  if labels:
    names = source.file_names if 'file_list' in labels else ()
    chosen = subsets.choose(source.labels, labels, names,
                            class_names=source.class_names)
    source = base.subset(source, chosen, source.name)
  return source


def check(section: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong in `data` whatever the images are."""
  if labels := section.get('labels'):
    subsets.check(labels)


def _open(native: Openers, name: str, split: str, fraction: float,
          seed: int) -> base.Source:
  """Opens a split that is there, or cuts `train` in two."""
  cut = 'train' in native and 'validation' not in native and fraction != 0
  if split in native and not (cut and split == 'train'):
    return native[split]()
  if cut and split in ('train', 'validation'):
    whole = native['train']()
    train, validation = subsets.split_validation(
        whole.labels, fraction, seed, class_names=whole.class_names, name=whole.name)
    indices = train if split == 'train' else validation
    return base.subset(whole, indices, f'{name}/{split}')
  accepted = sorted({*native, 'validation'} if cut else native)
  raise errors.MissingSplit(
      f'{name} has no split {split!r}; it has {", ".join(accepted)}'
      f'{errors.nearest(split, accepted)}'
      + ('; config.data.validation_fraction=0.1 cuts one from train'
         if split == 'validation' and 'train' in native else ''))


def _thinned(source: base.Source, fraction: float) -> base.Source:
  return base.subset(source, subsets.thin(source.labels, fraction), source.name)


def _folder(name: str, **how: Any) -> Openers:
  root = name.removeprefix(_FOLDER)
  return {split: lambda split=split, listing=listing: folder.Folder(
              listing, f'{root}/{split}', **how)
          for split, listing in folder.scan(root).items()}


def _tfds(name: str, data_dir: str | None, **how: Any) -> Openers:
  builder = records.find(name, data_dir)
  return {ours: lambda theirs=theirs: records.Records(builder, theirs, **how)
          for ours, theirs in records.splits(builder).items()}


def _check_fields(name: str, split: str, image_size: int | None,
                  labels: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> None:
  accepted = _SYNTHETIC_FIELDS if name == 'synthetic' else ()
  for field in fields:
    if field not in accepted:
      raise errors.UserError(f'config.data.{field} is not a field of the data set '
                             f'{name!r}{errors.nearest(field, accepted)}')
  if image_size is not None and image_size < 1:
    raise errors.UserError(
        f'config.data.image_size is {image_size}; use a positive number of pixels')
  if labels and split != 'train':
    raise errors.UserError(
        f'config.data.labels selects training images; remove it for {split!r}')
