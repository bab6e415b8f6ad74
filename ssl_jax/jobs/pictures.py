"""Computes the pictures of one trained encoder that a report shows.

They are maps of test images, feature maps, filters, views, nearest neighbours,
rotations and numbers on the use of the space. `ssl_jax.report.pictures` defines the
file.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import plain_config
from ssl_jax.data import datasets, sources
from ssl_jax.evaluators import maps as maps_lib
from ssl_jax.evaluators import representation
from ssl_jax.jobs import downstream, evaluate_config, picture_features, picture_views
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.report import pictures as pictures_lib
from ssl_jax.train import encoder as encoder_lib

_BATCH = 256
_MAIN = 'pooled'  # the endpoint that evaluations use by default


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Declares the pictures of an encoder: the fields of a config of this binary."""
  seed: int = config_lib.field(
      0, low=0, high=2**32 - 1, doc='Seed of the views that are drawn')
  images: int = config_lib.field(
      2000, low=4, doc='Number of test images on the maps; all if there are fewer')
  bank: int = config_lib.field(
      2000, low=4, doc='Number of training images among which neighbours are searched')
  data: Any = config_lib.section(evaluate_config.EncoderData, default={},
                                 overrides=True, none_is_default=True)
  pretrain: dict | None = config_lib.internal('The config of the encoder')
  encoder: dict | None = config_lib.internal('The identity of the encoder')


def parse(config: Mapping[str, Any]) -> Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config has a mistake that does not depend on the encoder.
  """
  spec = config_lib.build(Config, config)
  datasets.check(spec.data)
  return spec


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'pictures') -> dict[str, Any]:
  """Writes pictures.npz and result.json; returns the fields of the latter.

  Args:
    config: the plain config, with the fields of `Config`.
    checkpoint: the workdir of the run that trained the encoder.
    workdir: the folder of the two files.
    label: not used; other jobs name a run by it in messages.

  Raises:
    errors.UserError: the config does not suit the encoder or the data, or `workdir`
      holds a result of other settings.
  """
  del label
  config = plain_config.plain(config)
  spec = parse(config)
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  return workdir_lib.run_once(
      workdir, config, lambda folder: _write(spec, config['encoder'], folder),
      resumable=False)


def _write(spec: Config, identity: Mapping[str, Any],
           folder: pathlib.Path) -> dict[str, Any]:
  started = time.monotonic()
  mesh = mesh_lib.data_mesh()
  encoder = encoder_lib.load_identified(identity, mesh)
  made = measure(spec, encoder, mesh)
  if jax.process_index() == 0:
    pictures_lib.save(folder / pictures_lib.FILE, made)
  return {'step': encoder.step, 'images': len(made.indices), 'bank': int(made.bank),
          'maps': list(made.maps),
          'quality': {name: float(value) for name, value in made.quality.items()},
          'seconds': time.monotonic() - started, **provenance.collect()}


def measure(spec: Config, encoder: encoder_lib.TrainedEncoder,
            mesh: jax.sharding.Mesh) -> pictures_lib.Pictures:
  """Computes all pictures of an encoder.

  Args:
    spec: the parsed config.
    encoder: the trained encoder.
    mesh: the devices.
  """
  data = downstream.data_config(spec.data, encoder)
  train = downstream.load_split(data, encoder, 'train')
  test, indices = _sample(downstream.load_split(data, encoder, 'test'), spec.images)
  bank, _ = _sample(train, spec.bank)
  encode = functools.partial(picture_features.encode, encoder.method, mesh=mesh,
                             batch_size=_batch(mesh))
  found, known = encode(encoder.variables, test), encode(encoder.variables, bank)
  before = picture_views.untrained(encoder)
  few = sources.subset(test, np.arange(min(len(test), _BATCH)), test.name)
  untrained = encode(before, few.load_into_memory())
  drawn = picture_views.draw(encoder, bank, spec.seed)
  pairs = picture_views.similarities(encoder, before, drawn)
  voted = picture_features.neighbours(found[_MAIN], known[_MAIN], test, bank)
  spectra = {'before': representation.spectrum(untrained[_MAIN]),
             'after': representation.spectrum(found[_MAIN])}
  quality = {
      **{f'alignment/{when}': value for when, value in pairs.alignment.items()},
      'uniformity/before': representation.uniformity(untrained[_MAIN]),
      'uniformity/after': representation.uniformity(found[_MAIN]),
      **{f'effective_rank/{when}': representation.effective_rank(values)
         for when, values in spectra.items()}}
  return pictures_lib.Pictures(
      class_names=tuple(test.class_names), indices=indices, labels=test.labels,
      images=picture_features.thumbnails(test.images), maps=_maps(found),
      filters=picture_features.first_filters(encoder),
      input=test.images[voted['queries'][0]],
      feature_maps=picture_features.feature_maps(
          encoder, test.read(voted['queries'][:1])),
      **picture_views.shown(drawn), similarities=pairs.similarities, spectra=spectra,
      quality={name: np.float64(value) for name, value in quality.items()},
      bank=np.int64(len(bank)), **voted,
      **picture_features.rotations(encoder, test, voted['queries'], mesh,
                                   _batch(mesh)))


def _batch(mesh: jax.sharding.Mesh) -> int:
  return -(-_BATCH // mesh.size) * mesh.size


def _sample(source: sources.Source, most: int) -> tuple[sources.Arrays, np.ndarray]:
  """Returns evenly spaced images of a split, in memory, and their indices.

  Images that do not decode are left out.
  """
  n = min(most, len(source))
  indices = np.arange(n) * len(source) // n
  examples = source.read(indices)
  mask = examples.mask
  examples = examples.take(mask)
  return sources.Arrays(examples.images, examples.labels, source.class_names,
                        source.name, examples.valid_sizes), indices[mask]


def _maps(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the PCA map of every endpoint, and the t-SNE map of the main one."""
  made = {f'pca/{name}': maps_lib.pca(features) for name, features in found.items()}
  if maps_lib.has_tsne():
    made[f'tsne/{_MAIN}'] = maps_lib.tsne(found[_MAIN])
  else:
    logging.info('Maps are by PCA only; pip install openTSNE adds those by t-SNE')
  return made


def default_workdir(checkpoint: pathlib.Path | str) -> pathlib.Path:
  """Returns <checkpoint>/pictures, or a folder next to a checkpoint that is a file."""
  root = pathlib.Path(checkpoint)
  return root.with_name(f'{root.name}.pictures') if root.is_file() else (
      root / 'pictures')


def show(result: Mapping[str, Any]) -> str:
  """Returns two lines: the number of images and maps, and the use of the space."""
  quality = result['quality']
  return (f'{result["images"]} test images on {len(result["maps"])} maps\n'
          f'effective rank {quality["effective_rank/after"]:.1f} (untrained '
          f'{quality["effective_rank/before"]:.1f}), alignment '
          f'{quality["alignment/after"]:.3f}, uniformity '
          f'{quality["uniformity/after"]:.2f}')
