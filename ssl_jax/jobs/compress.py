"""Prunes and quantizes a trained encoder on the task that it was trained for.

The task needs no labels, so all images take part. To prune while fine-tuning on a few
labelled images instead, set `config.compression` of a fine-tuning. Both may follow each
other: a fine-tuning with `config.compression` keeps what was pruned here at zero.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax import errors, plain_config
from ssl_jax.data import feed as feed_lib
from ssl_jax.jobs import pretrain
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.methods import compressed
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import optim, packed, training
from ssl_jax.weights import files as weight_files

# Sections of the encoder's config that stay; the others are those of `Config`.
KEPT = ('data', 'augment', 'method', 'model', 'projector', 'predictor')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Declares a compression: the fields of a config of this binary."""
  seed: int = config_lib.field(
      low=0, high=2**32 - 1, doc='Seed of the order of the images and the views')
  compression: Any = config_lib.section(
      compressed.Compression, doc='Pruning and quantization')
  feed: Any = config_lib.section(feed_lib.FeedConfig)
  optim: Any = config_lib.section(optim.Optim)
  train: Any = config_lib.section(training.TrainConfig)
  log: Any = config_lib.section(training.LogConfig, default={})


def parse(config: Mapping[str, Any]) -> Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config holds a mistake, whatever the encoder is.
  """
  return config_lib.build(Config, config)


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'compress') -> dict[str, Any]:
  """Trains with compression to the end; returns and writes what result.json holds.

  Args:
    config: the fields of `Config`.
    checkpoint: the workdir of the pre-training run whose encoder is compressed.
    workdir: the folder of this run.
    label: the name of the run in messages.

  Raises:
    errors.UserError: the config does not suit the encoder.
  """
  config = plain_config.plain(config)
  parse(config)
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  return workdir_lib.run_once(workdir, config,
                              lambda folder: train(config, folder, label))


def train(config: Mapping[str, Any], workdir: pathlib.Path,
          label: str) -> dict[str, Any]:
  """Trains in a folder that is ready; returns what result.json holds.

  Args:
    config: plain, with the identity of the encoder.
    workdir: the folder of the run.
    label: the name of the run in messages.
  """
  origin = provenance.collect()
  encoder = encoder_lib.load_identified(config['encoder'], mesh_lib.data_mesh())
  resolved = resolve(config, encoder)
  prepared = pretrain.prepare(pretrain.parse(resolved), resolved, workdir, label)

  def warm_start(state):  # a copy: the loop donates its state
    return state.replace(variables=prepared.method.with_pretrained(
        state.variables, jax.tree.map(jnp.copy, encoder.variables)))

  return origin | pretrain.finish(dataclasses.replace(
      prepared, warm_start=warm_start,
      claim=functools.partial(workdir_lib.claim, workdir, config)))


def resolve(config: Mapping[str, Any],
            encoder: encoder_lib.TrainedEncoder) -> dict[str, Any]:
  """Returns the config of a pre-training run with compression.

  Args:
    config: the plain config of the compression.
    encoder: its data, augmentation, method and network stay.

  Raises:
    errors.UserError: it is a fine-tuned network, compressed already, or a file.
  """
  path = config['encoder']['path']
  if 'pretrained' in encoder.config:
    raise errors.UserError(
        f'{path} holds a fine-tuned network; give the --workdir of its pre-training, '
        'or compress while fine-tuning: python -m ssl_jax.finetune with '
        f'--config.compression.sparsity={config["compression"]["sparsity"]:g}')
  if weight_files.is_file(path):
    raise errors.UserError(
        f'{path} is a file of weights, which names no task to train on; start from it '
        'by python -m ssl_jax.pretrain with --config.model.init_from='
        f'{path} and --config.compression.sparsity='
        f'{config["compression"]["sparsity"]:g}')
  if encoder.config.get('compression'):
    raise errors.UserError(f'{path} holds an encoder that is compressed already; give '
                           'the --workdir of the run that trained it')
  own = {name: config[name] for name in config_lib.schema(Config) if name in config}
  return {name: encoder.config[name] for name in KEPT if name in encoder.config} | own


def show(result: Mapping[str, Any]) -> str:
  """Formats what a finished run did, in one or two lines."""
  lines = [pretrain.show(result)]
  if 'packed' in result:
    lines.append(packed.show(result['packed']))
  return '\n'.join(lines)
