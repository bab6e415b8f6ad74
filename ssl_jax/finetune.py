"""Fine-tunes a trained encoder with a new classifier on it.

    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft1
    python -m ssl_jax.finetune --checkpoint=runs/rotnet \\
        --config=configs/finetune.py:last_stage --workdir=runs/rotnet/last_stage

Which layers are frozen is `freeze_until`, which images have a label
`data.labels`. An epoch is one pass over the labelled images, floor(n / batch) steps;
with `data.labels.repeat` they are repeated until there are as many as before the
subset was taken, and an epoch keeps its number of steps. `train.steps` says how long
whatever an epoch is. What is trained can be evaluated, or fine-tuned again, like any
other run.

With `grid` there is one such run for every learning rate and weight decay, in
<workdir>/grid, which sees validation images but no test images; the best setting is
trained again on both splits, in <workdir>/refit, and tested once. Cells that are done
are not done again.
"""

import dataclasses
import functools
import hashlib
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from ssl_jax import app, errors, evaluate, grid_search, methods, models
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib
from ssl_jax.augment import policies
from ssl_jax.data import base as data_lib
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import joined, sources
from ssl_jax.evaluators import scores
from ssl_jax.methods import finetune as finetune_lib
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import loop, optim
from ssl_jax.train import mesh as mesh_lib

LINEAR = {'name': 'linear'}  # the head, where a config names none
PROBE = 'head'               # likewise, what is frozen: everything below the head


def digest(tree: Any) -> str:
  """A hash of every array in a tree: equal means bit-identical."""
  h = hashlib.sha256()
  for leaf in jax.tree.leaves(tree):
    h.update(np.asarray(leaf).tobytes())
  return h.hexdigest()


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  config_lib.require(config, 'seed', 'feed', 'features', 'augment', 'optim', 'train')
  config_lib.build(evaluate.FeaturesConfig, config['features'], 'features')
  _train_config(config['train'], steps_per_epoch=1)
  config_lib.build(loop.LogConfig, config.get('log', {}), 'log')
  config_lib.build(optim.Optim, config['optim'], 'optim')
  sources.check(config.get('data', {}))
  policies.per_crop(config['augment'], finetune_lib.FineTune.num_crops)
  models.build_head(**config.get('head', LINEAR), num_classes=2)
  scores.check_headline(config.get('score', 'top1'), 'config.score')
  decay, momentum = config.get('layer_decay', 1), config.get('bn_momentum')
  if not 0 < decay <= 1:
    raise errors.UserError(
        f'config.layer_decay is {decay}; use a number above 0 and up to 1, where all '
        'layers learn at the same rate')
  if momentum not in (None, 'auto') and not (
      isinstance(momentum, int | float) and 0 <= momentum < 1):
    raise errors.UserError(
        f'config.bn_momentum is {momentum!r}; use None, a number from 0 to below 1, or '
        "'auto' for what suits the steps of an epoch")
  if config.get('from_scratch') and config.get('freeze_until', PROBE) is not None:
    raise errors.UserError(
        f'config.from_scratch is set, but config.freeze_until is '
        f'{config.get("freeze_until", PROBE)!r}; what is frozen would stay random, so '
        'set it to None')
  if config.get('grid'):
    grid_search.check(config)


def _train_config(fields: Mapping[str, Any], steps_per_epoch: int) -> loop.TrainConfig:
  """For `epochs`, or for `steps` of which `steps_per_epoch` are an epoch."""
  fields = {k: v for k, v in fields.items() if v is not None}
  if ('steps' in fields) == ('epochs' in fields):
    raise errors.UserError('config.train needs epochs or steps; give one of them')
  if 'steps' in fields:
    if fields['steps'] < 1:
      raise errors.UserError(f'config.train.steps is {fields["steps"]}; use 1 or more')
    fields['epochs'] = fields.pop('steps') / steps_per_epoch
  return config_lib.build(loop.TrainConfig, fields, 'train')


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'finetune') -> dict[str, Any]:
  """Trains and scores; returns and writes what result.json holds.

  Raises:
    errors.UserError: the config does not suit the encoder or the data.
  """
  config = config_lib.plain(config)
  check(config)
  workdir = workdir_lib.prepare(workdir, config)
  if (done := workdir_lib.finished(workdir, config)) is not None:
    return done
  started, origin = time.monotonic(), workdir_lib.provenance()
  encoder = encoder_lib.load(checkpoint, mesh_lib.data_mesh())
  train = functools.partial(_train, encoder)
  if config.get('grid'):
    result = grid_search.run(config, workdir, label, train)
  else:
    result = train(config, workdir, label, evaluate.SPLITS)
  result |= {'step': encoder.step, 'seconds': time.monotonic() - started, **origin}
  workdir_lib.write_result(workdir, config, result)
  return result


def _train(encoder: encoder_lib.Encoder, config: dict[str, Any], workdir: pathlib.Path,
           label: str, scored: tuple[str, ...]) -> dict[str, Any]:
  """One training, and the scores of what it made on the splits `scored`."""
  mesh = mesh_lib.data_mesh()
  source = _images(config, encoder, 'train')
  resolved = _resolve(config, encoder, source)
  method = methods.build(resolved, source.num_classes)
  plan = _plan(resolved, encoder, method, source, mesh, workdir, label)
  frozen = digest(_start(method, encoder).non_trainable)
  state = loop.fit(plan)
  if plan.warm_start and digest(state.variables.non_trainable) != frozen:
    raise AssertionError(f'{label}: frozen layers changed during the training')
  trained = dataclasses.replace(encoder, method=method, class_names=source.class_names,
                                variables=method.encoder(state.variables))
  scoring = _scoring(config)
  logits = evaluate.extract(
      scoring, trained, mesh, {split: _images(scoring, trained, split)
                               for split in scored})
  return {'protocol': _protocol(resolved), 'chosen': {},
          'score': config.get('score', 'top1'),
          **dict.fromkeys(evaluate.SPLITS), **scores.score_splits(lambda x: x, **{
              split: x and x.labelled(source.num_classes)
              for split, x in logits.items()}),
          'class_names': list(source.class_names)}


def _images(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
            split: str) -> data_lib.Source | None:
  """A split; to refit, that of training holds the validation images too."""
  source = evaluate.load_split(config, encoder, split)
  if split != 'train' or not config.get('refit'):
    return source
  validation = evaluate.load_split(config, encoder, 'validation')
  return joined.Joined(source, validation, f'{source.name} + validation')


def _resolve(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
             source: data_lib.Source) -> dict[str, Any]:
  """The config with all that it takes from the encoder and the data written out.

  It is what the checkpoint holds, and `methods.build` needs no more to make the
  network again.
  """
  evaluate.require_labels(source)
  momentum = config.get('bn_momentum')
  if momentum == 'auto':  # about an epoch's worth of batches (arXiv:2002.05709, B.8)
    momentum = max(1 - 10 / max(1, len(source) // config['feed']['batch_size']), 0.9)
  features = config_lib.build(evaluate.FeaturesConfig, config['features'], 'features')
  return config_lib.plain({
      **config,
      'method': {'name': 'finetune', 'freeze_until': config.get('freeze_until', PROBE),
                 'bn_momentum': momentum},
      'head': config.get('head', LINEAR),
      'features': dataclasses.asdict(features),
      'augment': {**evaluate.frame(encoder), **config['augment']},
      'data': evaluate.data_fields(config, encoder),
      'dataset': {'image_shape': source.image_shape, 'class_names': source.class_names},
      'pretrained': encoder.config})


def _plan(config: dict[str, Any], encoder: encoder_lib.Encoder,
          method: finetune_lib.FineTune, source: data_lib.Source,
          mesh: jax.sharding.Mesh, workdir: pathlib.Path, label: str) -> loop.Run:
  stages = method.stages(source.image_shape)  # complains before images are decoded
  first = stages.index(method.freeze_until) if method.freeze_until else 0
  _check_batch(config, source)
  feed = feed_lib.make_feed(source, seed=config['seed'], mesh=mesh, **config['feed'])
  train = _train_config(config['train'], feed.steps_per_epoch)
  tx, schedule = optim.build(
      _with_layer_decay(config['optim'], stages[first:], config.get('layer_decay', 1)),
      batch_size=feed.batch_size, num_examples=len(source),
      total_steps=round(train.epochs * feed.steps_per_epoch))

  def warm_start(variables):  # a copy: the loop donates its state
    return method.with_pretrained(variables, jax.tree.map(jnp.copy, encoder.variables))

  return loop.Run(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config=config, seed=config['seed'], epochs=train.epochs, label=label,
      log=config_lib.build(loop.LogConfig, config.get('log', {}), 'log'),
      warm_start=None if config.get('from_scratch') else warm_start)


def _check_batch(config: Mapping[str, Any], source: data_lib.Source) -> None:
  batch_size, labels = config['feed']['batch_size'], config['data'].get('labels')
  if labels and batch_size > len(source):
    raise errors.UserError(
        f'config.feed.batch_size is {batch_size}, more than the {len(source)} images '
        f'that config.data.labels leaves; use at most {len(source)}, or set '
        'config.data.labels.repeat to True')


def _with_layer_decay(fields: Mapping[str, Any], stages: tuple[str, ...],
                      decay: float) -> dict[str, Any]:
  """Multiplies the rate of the head by 1, of the stage below by `decay`, and so on.

  Args:
    fields: of `optim.Optim`.
    stages: those that are trained, from the image up to the head.
    decay: the factor from one stage to the one below.
  """
  given, below = fields.get('multipliers', {}), reversed(stages)
  return {**fields, 'multipliers': given if decay == 1 else {
      **given, **{stage: given.get(stage, 1) * decay**k
                  for k, stage in enumerate(below)}}}


def _start(method: finetune_lib.FineTune,
           encoder: encoder_lib.Encoder) -> finetune_lib.base.Variables:
  """The variables at step 0; of the head, which is drawn, only the shapes."""
  shapes = jax.eval_shape(lambda key: method.init(key, encoder.image_shape),
                          jax.random.key(0))
  return method.with_pretrained(shapes, encoder.variables)


def _scoring(config: Mapping[str, Any]) -> dict[str, Any]:
  """What `evaluate.extract` is asked for: logits, of every image once."""
  data = dict(config.get('data', {}))
  if data.get('labels'):
    data['labels'] = {k: v for k, v in data['labels'].items() if k != 'repeat'}
  return {'data': data, 'refit': config.get('refit'), 'features': {
      'endpoint': 'logits', 'batch_size': config['features'].get('batch_size', 512)}}


def _protocol(config: Mapping[str, Any]) -> str:
  features, first = config['features'], config['method']['freeze_until']
  trained = {None: 'fine-tuned, ', PROBE: ''}.get(first, f'fine-tuned from {first}, ')
  if config.get('from_scratch'):
    trained = 'trained from scratch, '
  return (f'{trained}{config["head"]["name"]} head on {features["endpoint"]}, pool '
          f'{features["pool"]}, {config["augment"]["recipe"]} augmentation')


def main() -> None:
  app.setup_jax()
  workdir = pathlib.Path(app.require(_WORKDIR, 'runs/simclr/finetune'))
  result = run(app.config(_CONFIG), app.require(_CHECKPOINT, 'runs/simclr'), workdir)
  print(evaluate.show(result))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_flags.DEFINE_config_file(
      'config', None, 'What is trained and how; after the colon: simclr, rotnet, '
      'last_stage.')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of the run whose encoder is fine-tuned.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for checkpoints, metrics.jsonl and result.json.')
  app.run(main, default_config='configs/finetune.py')
