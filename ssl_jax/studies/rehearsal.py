"""Scales a study down for a rehearsal: every stage runs, but results mean nothing."""

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

from ssl_jax import errors, plain_config
from ssl_jax.data import datasets
from ssl_jax.jobs import downstream
from ssl_jax.studies import stages
from ssl_jax.train import checkpoint

Config = Mapping[str, Any]
# Networks with 64 channels and more; ResNet-8 to ResNet-56 are small already.
WIDE = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'resnet200',
        'nin', 'vit_tiny', 'vit_small', 'vit_base')


def shrink(config: Config, scale: float) -> dict[str, Any]:
  """Returns the same study with fewer images, fewer epochs and narrower networks.

  * The epochs of a training, of its warm-up and of its boundaries are multiplied by one
    factor. It is `scale`, or more if less than one epoch would remain. The online kNN
    runs at most five times, and `log.every_steps` is multiplied by `scale`, so that
    curves have several points.
  * Each class of the training and test images keeps the fraction `scale`, but at least
    20 images (`subsample` of `data.datasets.load`). Numbers of labels per class are
    multiplied by `scale` too, but at least 2 remain. Fractions of labels do not change.
  * The width of wide networks (`WIDE`) is multiplied by sqrt(scale), but at least 1/4.
  * A batch has at most a tenth of the images, and at most the number of labelled
    images. The number of neighbours of kNN is at most the latter.
  * A length in steps is multiplied by `scale` for the epochs, by `scale` for the
    images, and by the factor by which batches became smaller. Grids keep two learning
    rates and two weight decays.
  * Pictures are of `scale` of the images, but of at least 100.

  Seeds, methods, evaluations and given checkpoints do not change, and the compression
  of a given checkpoint uses all images that the checkpoint was trained on. Data sets
  are opened to count their images. If an evaluation has several data sets and one of
  them is missing, that one is not changed, and its stages fail later.

  Args:
    config: the config of a study.
    scale: a factor above 0 and below 1.

  Returns:
    A plain config, whose field 'rehearsal' is a sentence that lists the changes.

  Raises:
    errors.UserError: `scale` is out of range, or a data set is missing.
  """
  if not 0 < scale < 1:
    raise errors.UserError(
        f'--scale is {scale:g}; use a number above 0 and below 1, such as 0.05')
  config = plain_config.plain(config)
  methods, known = {}, {}  # as scaled, and with the data that they were trained on
  for name, fields in config['methods'].items():
    source = known.get(fields.get(stages.COMPRESSES))
    methods[name] = (fields if 'checkpoint' in fields else
                     _training(fields, scale, source['data']) if source else
                     _method(fields, scale))
    given = {k: source[k] for k in ('data', 'checkpoint') if source and k in source}
    known[name] = ({**methods[name], **given} if source else
                   _known(methods[name], config['seeds'][0]))
  evaluations = {name: _evaluation(fields, scale, known)
                 for name, fields in config['evaluations'].items()}
  return {**config, 'methods': methods, 'evaluations': evaluations,
          **_fewer_pictures(config, scale),
          'rehearsal': _sentence(methods, evaluations, scale)}


def _fewer_pictures(config: Config, scale: float) -> dict[str, Any]:
  """Scales the numbers of images of `pictures`, but 100 of them remain."""
  if (fields := config.get('pictures')) is None:
    return {}
  return {'pictures': {**fields, **{
      name: min(fields[name], max(100, round(scale * fields[name])))
      for name in ('images', 'bank') if name in fields}}}


def _known(method: Config, seed: int) -> Config:
  """Returns a method with the data it was trained on, also if it is a checkpoint."""
  if 'checkpoint' not in method:
    return method
  folder = checkpoint.locate(method['checkpoint'].replace('{seed}', str(seed)))
  return {**method, 'data': checkpoint.read_config(folder)[1]['data']}


def _sentence(methods: Config, evaluations: Config, scale: float) -> str:
  wide = any(fields.get('model', {}).get('name') in WIDE
             for fields in methods.values())
  grids = any('grid' in fields for fields in evaluations.values())
  return (
      f'Scaled down by --scale={scale:g}: {scale:g} of the epochs (at least one) and '
      'of the images (at least 20 of a class), '
      + (f'{_narrowing(scale):.2g} of the width of wide networks, ' if wide else '')
      + 'batches of at most a tenth of the images'
      + (', two values of each setting of a grid' if grids else '') + '.')


def _method(fields: Config, scale: float) -> dict[str, Any]:
  data = {**_fewer_labels(fields['data'], scale),
          'subsample': scale * fields['data'].get('subsample', 1)}
  return {**_training(fields, scale, data), 'data': data,
          'model': _narrower(fields['model'], scale)}


def _training(fields: Config, scale: float, data: Config) -> dict[str, Any]:
  """Scales the length, the log and the batches; `data` are scaled already."""
  log = dict(fields.get('log', {}))
  if 'every_steps' in log:
    log['every_steps'] = max(1, round(scale * log['every_steps']))
  return _smaller_batches({**_fewer_epochs(fields, scale), 'log': log},
                          feed=_count({'validation_fraction': 0, **data}) // 10)


def _evaluation(fields: Config, scale: float, methods: Config) -> dict[str, Any]:
  """Scales an evaluation down; `methods`, whose data it uses, are scaled already."""
  data_sets = fields.get('data_sets')
  if not data_sets:
    return _on_one_set(fields, scale, methods)
  shared = {k: v for k, v in fields.items() if k != 'data_sets'}

  def shrunk(own):
    try:
      return _on_one_set(plain_config.merge(shared, own), scale, methods)
    except errors.UserError:
      return own
  return {**shared, 'data_sets': {k: shrunk(own) for k, own in data_sets.items()}}


def _on_one_set(fields: Config, scale: float, methods: Config) -> dict[str, Any]:
  data = _fewer_labels(fields.get('data') or {}, scale)
  wanted = [methods[name] for name in fields.get('methods') or methods]
  if any('checkpoint' in method for method in wanted):
    data['subsample'] = scale
  trained_on = [method['data'] for method in wanted]
  small = {**_fewer_epochs(fields, scale), 'data': data}
  subsets = {column: labels and _fewer(labels, scale)
             for column, labels in (fields.get('subsets') or {}).items()}
  if subsets:
    small['subsets'] = subsets

  def fewest(rules):
    return min(
        _count(downstream.inherit_fields(theirs, {**data, 'label_subset': labels}))
        for theirs in trained_on for labels in rules)

  images = fewest([None])
  labelled = fewest(list(subsets.values()) or [data.get('label_subset')])
  protocol = small.get('protocol', {})
  if 'k' in protocol:
    small['protocol'] = {**protocol, 'k': min(protocol['k'], labelled)}
  if 'grid' in small:  # keeps values from the middle, with which networks train well
    small['grid'] = {name: values[len(values) // 4::max(1, len(values) // 2)][:2]
                     for name, values in small['grid'].items()}
  small = _smaller_batches(small, feed=min(images // 10, labelled),
                           features=images // 10)
  return _fewer_steps(small, fields, scale, labelled)


def _fewer_steps(small: Config, fields: Config, scale: float,
                 images: int) -> dict[str, Any]:
  """Scales a length in steps down, but to no less than an epoch of `images`."""
  if not (steps := fields.get('train', {}).get('steps')):
    return dict(small)
  batch_size = small['feed']['batch_size']
  steps *= scale**2 * fields['feed']['batch_size'] / batch_size
  return {**small, 'train': {**small['train'],
                             'steps': max(round(steps), images // batch_size, 1)}}


def _count(data: Config) -> int:
  """Returns the number of training images of a scaled data set."""
  return _count_json(json.dumps(data))


@functools.cache  # most methods of a study have the same data
def _count_json(data: str) -> int:
  return len(datasets.load(split='train', **json.loads(data)))


def _fewer_epochs(fields: Config, scale: float) -> dict[str, Any]:
  """Multiplies all fields in epochs by one factor, so that schedules keep their shape.
  """
  epochs = fields.get('train', {}).get('epochs')
  factor = max(scale, min(1, 1 / epochs)) if epochs else scale

  def scaled(name: str, value: Any) -> Any:
    if name != 'epochs' and not name.endswith('_epochs'):
      return value
    return [v * factor for v in value] if isinstance(value, list) else value * factor

  fields = {**fields, **{
      section: {name: scaled(name, value) for name, value in fields[section].items()}
      for section in ('optim', 'train') if section in fields}}
  if every := fields.get('train', {}).get('knn_every_epochs'):
    # At the rate of the full run, most of the time would be spent on kNN.
    fields['train']['knn_every_epochs'] = max(every, factor * epochs / 5)
  return fields


def _fewer_labels(data: Config, scale: float) -> dict[str, Any]:
  labels = data.get('label_subset')
  return {**data, 'label_subset': _fewer(labels, scale)} if labels else dict(data)


def _fewer(labels: Config, scale: float) -> dict[str, Any]:
  return {rule: max(min(2, value), round(scale * value))
          if rule in ('per_class', 'first_k') else value
          for rule, value in labels.items()}


def _narrowing(scale: float) -> float:
  return max(0.25, math.sqrt(scale))


def _narrower(model: Config, scale: float) -> Config:
  """Makes a wide network narrower; widths are eighths, which all of them accept."""
  if model['name'] not in WIDE:
    return model
  width = _narrowing(scale) * model.get('width', 1)
  return {**model, 'width': max(1, round(8 * width)) / 8}


def _smaller_batches(fields: Config, **most: int) -> dict[str, Any]:
  """Limits batch sizes by section; limits above 8 are rounded down to a multiple of 8.
  """
  fields = dict(fields)
  for section, count in most.items():
    if 'batch_size' in fields.get(section, {}):
      count = max(2, count - count % 8 if count > 8 else count)
      fields[section] = {**fields[section],
                         'batch_size': min(count, fields[section]['batch_size'])}
  return fields
