"""The probes of the papers: a frozen encoder, crop and flip on every step.

    python -m ssl_jax.linear_probe --checkpoint=runs/simclr --workdir=runs/simclr/probe

The head is linear (Chen et al. 2020, arXiv:2002.05709, appendix B.6), or one of
RotNet's nonlinear ones (arXiv:1803.07728): --config=configs/linear_probe.py:mlp or
:conv_block. Probes on cached features, which take seconds, are in ssl_jax.evaluate
(linear, logistic).
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
from absl import flags
from ml_collections import config_flags

from ssl_jax import app, evaluate, models
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib
from ssl_jax.augment import policies
from ssl_jax.data import feed as feed_lib
from ssl_jax.evaluators import classifier
from ssl_jax.methods import probe as probe_lib
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import loop, optim
from ssl_jax.train import mesh as mesh_lib

LINEAR = {'name': 'linear'}  # the head, where a config names none


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
  config_lib.build(optim.Optim, config['optim'], 'optim')
  policies.from_config(config['augment'])
  models.build_head(**config.get('head', LINEAR), num_classes=2)


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'probe') -> dict[str, Any]:
  """Trains the probe and scores it; returns and writes what result.json holds."""
  config = config_lib.plain(config)
  check(config)
  workdir = workdir_lib.prepare(workdir, config)
  if (done := workdir_lib.finished(workdir, config)) is not None:
    return done
  started = time.monotonic()
  mesh = mesh_lib.data_mesh()
  encoder = encoder_lib.load(checkpoint, mesh)
  before = digest(encoder.variables)
  features, head = config['features'], config.get('head', LINEAR)
  method = probe_lib.Probe(
      pretrained=encoder.method, policy=_policy(config, encoder),
      head=models.build_head(**head, num_classes=len(encoder.class_names),
                             dtype=encoder.method.dtype),
      endpoint=features['endpoint'], pool=features['pool'])
  state = loop.fit(_plan(config, encoder, method, mesh, workdir, label))
  if digest(state.variables.slow) != before:
    raise AssertionError('the frozen encoder changed while its probe was trained')
  logits = {'endpoint': 'logits', 'batch_size': features['batch_size']}
  probe = dataclasses.replace(encoder, method=method,
                              variables=method.encoder(state.variables))
  splits = evaluate.extract({**config, 'features': logits}, probe, mesh)
  result = classifier.Classifier()(splits['train'], splits['validation'],
                                   splits['test'], len(encoder.class_names))
  result |= {'protocol': f'{head["name"]} head on {features["endpoint"]}, '
                         f'pool {features["pool"]}, '
                         f'{config["augment"]["recipe"]} augmentation',
             'class_names': list(encoder.class_names), 'step': encoder.step,
             'seconds': time.monotonic() - started, **workdir_lib.provenance()}
  workdir_lib.write_result(workdir, config, result)
  return result


def _policy(config: Mapping[str, Any], encoder: encoder_lib.Encoder
            ) -> policies.Policy:
  """The probe's augmentation, at the size and normalisation the encoder knows."""
  known = encoder.config['augment']
  frame = {k: known[k] for k in ('size', 'mean', 'std') if k in known}
  return policies.from_config({**frame, **config['augment']})


def _plan(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
          method: probe_lib.Probe, mesh: jax.sharding.Mesh,
          workdir: pathlib.Path, label: str) -> loop.Run:
  train = config_lib.build(loop.TrainConfig, config['train'], 'train')
  source = evaluate.load_splits(config, encoder)['train']
  feed = feed_lib.make_feed(source, seed=config['seed'], mesh=mesh, **config['feed'])
  tx, schedule = optim.build(
      config['optim'], batch_size=feed.batch_size, num_examples=len(source),
      total_steps=round(train.epochs * feed.steps_per_epoch))

  def put_encoder(variables):  # a copy: the loop donates its state
    return variables.replace(slow=jax.tree.map(jnp.copy, encoder.variables))

  return loop.Run(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config=config, seed=config['seed'], epochs=train.epochs,
      warm_start=put_encoder, label=label,
      log=config_lib.build(loop.LogConfig, config.get('log', {}), 'log'))


def main() -> None:
  app.setup_jax()
  workdir = pathlib.Path(app.require(_WORKDIR, 'runs/simclr/linear_probe'))
  result = run(app.config(_CONFIG), app.require(_CHECKPOINT, 'runs/simclr'), workdir)
  print(evaluate.show(result))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_flags.DEFINE_config_file(
      'config', None, 'How the head is trained.')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for the head, metrics.jsonl and result.json.')
  app.run(main, default_config='configs/linear_probe.py')
