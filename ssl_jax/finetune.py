"""Fine-tunes a trained encoder with a new classifier on it.

    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft1
    python -m ssl_jax.finetune --checkpoint=runs/rotnet \\
        --config=configs/finetune.py:last_stage --workdir=runs/rotnet/last_stage

Which layers are frozen is `freeze_until`, which images have a label
`data.labels`. An epoch is one pass over the labelled images, floor(n / batch) steps;
with `data.labels.repeat` they are repeated until there are as many as before the
subset was taken, and an epoch keeps its number of steps. What is trained can be
evaluated, or fine-tuned again, like any other run.
"""

import dataclasses
import hashlib
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from flax import traverse_util
from ml_collections import config_flags

from ssl_jax import app, errors, evaluate, methods, models
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib
from ssl_jax.augment import policies
from ssl_jax.data import base as data_lib
from ssl_jax.data import feed as feed_lib
from ssl_jax.evaluators import classifier
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
  config_lib.build(loop.TrainConfig, config['train'], 'train')
  config_lib.build(loop.LogConfig, config.get('log', {}), 'log')
  config_lib.build(optim.Optim, config['optim'], 'optim')
  evaluate.check_data(config)
  policies.from_config(config['augment'])
  models.build_head(**config.get('head', LINEAR), num_classes=2)
  decay = config.get('layer_decay', 1)
  if not 0 < decay <= 1:
    raise errors.UserError(
        f'config.layer_decay is {decay}; use a number above 0 and up to 1, where all '
        'layers learn at the same rate')


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
  mesh = mesh_lib.data_mesh()
  encoder = encoder_lib.load(checkpoint, mesh)
  source = evaluate.load_split(config, encoder, 'train')
  resolved = _resolve(config, encoder, source)
  method = methods.build(resolved, source.num_classes)
  plan = _plan(resolved, encoder, method, source, mesh, workdir, label)
  frozen = digest(_start(method, encoder).slow)
  state = loop.fit(plan)
  if digest(state.variables.slow) != frozen:
    raise AssertionError(f'{label}: frozen layers changed during the training')
  trained = dataclasses.replace(encoder, method=method, class_names=source.class_names,
                                variables=method.encoder(state.variables))
  splits = evaluate.extract(_scoring(config), trained, mesh)
  result = classifier.Classifier()(splits.train, splits.validation, splits.test,
                                   source.num_classes)
  result |= {'protocol': _protocol(resolved), 'class_names': list(source.class_names),
             'step': encoder.step, 'seconds': time.monotonic() - started, **origin}
  workdir_lib.write_result(workdir, config, result)
  return result


def _resolve(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
             source: data_lib.Source) -> dict[str, Any]:
  """The config with all that it takes from the encoder and the data written out.

  It is what the checkpoint holds, and `methods.build` needs no more to make the
  network again.
  """
  if not source.num_classes:
    raise errors.UserError(
        f'{source.name} has no labels, and a classifier needs some; name a labelled '
        'data set in config.data.name')
  known = encoder.config['augment']
  frame = {k: known[k] for k in ('size', 'mean', 'std') if k in known}
  features = config_lib.build(evaluate.FeaturesConfig, config['features'], 'features')
  return config_lib.plain({
      **config,
      'method': {'name': 'finetune', 'freeze_until': config.get('freeze_until', PROBE)},
      'head': config.get('head', LINEAR),
      'features': dataclasses.asdict(features),
      'augment': {**frame, **config['augment']},
      'data': evaluate.data_fields(config, encoder),
      'dataset': {'image_shape': source.image_shape, 'class_names': source.class_names},
      'pretrained': encoder.config})


def _plan(config: dict[str, Any], encoder: encoder_lib.Encoder,
          method: finetune_lib.FineTune, source: data_lib.Source,
          mesh: jax.sharding.Mesh, workdir: pathlib.Path, label: str) -> loop.Run:
  train = config_lib.build(loop.TrainConfig, config['train'], 'train')
  stages = method.stages(source.image_shape)  # complains before images are decoded
  _check_batch(config, source)
  feed = feed_lib.make_feed(source, seed=config['seed'], mesh=mesh, **config['feed'])
  tx, schedule = optim.build(
      config['optim'], batch_size=feed.batch_size, num_examples=len(source),
      total_steps=round(train.epochs * feed.steps_per_epoch))
  if config.get('layer_decay', 1) != 1:
    tx = _decayed(tx, stages, config['layer_decay'])
  return loop.Run(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config=config, seed=config['seed'], epochs=train.epochs, label=label,
      log=config_lib.build(loop.LogConfig, config.get('log', {}), 'log'),
      # A copy: the loop donates its state.
      warm_start=lambda variables: method.with_pretrained(
          variables, jax.tree.map(jnp.copy, encoder.variables)))


def _check_batch(config: Mapping[str, Any], source: data_lib.Source) -> None:
  batch_size, labels = config['feed']['batch_size'], config['data'].get('labels')
  if labels and batch_size > len(source):
    raise errors.UserError(
        f'config.feed.batch_size is {batch_size}, more than the {len(source)} images '
        f'that config.data.labels leaves; use at most {len(source)}, or set '
        'config.data.labels.repeat to True')


def _decayed(tx: optax.GradientTransformation, stages: tuple[str, ...],
             decay: float) -> optax.GradientTransformation:
  """Multiplies the rate of the head by 1, of the stage below by `decay`, and so on."""
  def scale(updates, params):
    del params
    return traverse_util.path_aware_map(
        lambda path, x: x * decay**stages[::-1].index(finetune_lib.stage(path)),
        updates)
  return optax.chain(tx, optax.stateless(scale))


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
  return {'data': data, 'features': {
      'endpoint': 'logits', 'batch_size': config['features'].get('batch_size', 512)}}


def _protocol(config: Mapping[str, Any]) -> str:
  features, first = config['features'], config['method']['freeze_until']
  trained = {None: 'fine-tuned, ', PROBE: ''}.get(first, f'fine-tuned from {first}, ')
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
