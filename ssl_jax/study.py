"""The main job: pre-train several methods, evaluate them alike, report.

    python -m ssl_jax.study --config=configs/studies/quickstart.py --workdir=runs/q

A study is a list of methods (each a pre-training config), seeds and evaluations.
Every stage has a folder of its own, <workdir>/<method>/seed<k>/<stage>. A stage
that is done for the same config is not done again: after a kill, or with one
more seed, run the same command again.
"""

import datetime
import json
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from absl import flags, logging
from ml_collections import config_flags

from ssl_jax import app, errors, evaluate, linear_probe, pretrain, report
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib

Config = Mapping[str, Any]


def run(config: Config, workdir: pathlib.Path, command: str = '') -> pathlib.Path:
  """Runs what is not yet done and writes the report; returns its path.

  Raises:
    errors.UserError: a mistake in the config, found before anything runs; or
      stages that failed, named after all the others are done and reported.
  """
  config = config_lib.plain(config)
  _check(config)
  workdir = pathlib.Path(workdir).absolute()
  workdir_lib.writable(workdir)
  _describe(config, workdir, command)
  failed = []
  stages = list(_stages(config))
  for i, (name, seed) in enumerate(stages):
    logging.info('[%d/%d] %s, seed %d', i + 1, len(stages), name, seed)
    try:
      _run_one(config, name, seed, workdir / name / f'seed{seed}')
    except errors.UserError as e:
      logging.error('%s, seed %d: %s', name, seed, e)
      failed.append(f'{name} seed {seed} ({e})')
  page = report.write(workdir) if jax.process_index() == 0 else workdir
  if failed:
    raise errors.UserError(
        f'{len(failed)} of {len(stages)} runs failed: {"; ".join(failed)}; '
        f'the others are in {page}')
  return page


def _stages(config: Config) -> Iterator[tuple[str, int]]:
  """Seed by seed, so that an unfinished study compares all methods on few seeds."""
  for seed in config['seeds']:
    for name in config['methods']:
      yield name, seed


def _run_one(config: Config, name: str, seed: int, folder: pathlib.Path) -> None:
  """Pre-trains one method with one seed and evaluates it in every way."""
  run_config = {**config['methods'][name], 'seed': seed}
  pretrain.run(run_config, folder / 'pretrain', label=f'{name} seed {seed}')
  extracted = {}  # features that evaluations of this encoder share
  for evaluation, fields in config['evaluations'].items():
    fields = {**fields, 'seed': seed, 'pretrain': run_config}
    checkpoint, workdir = folder / 'pretrain', folder / evaluation
    if 'protocol' in fields:
      evaluate.run(fields, checkpoint, workdir, extracted)
    else:
      linear_probe.run(fields, checkpoint, workdir, f'{name} seed {seed} {evaluation}')


def _check(config: Config) -> None:
  """Finds the mistakes that can be found without data, in every method at once."""
  for section in ('name', 'seeds', 'methods', 'evaluations'):
    if not config.get(section):
      raise errors.UserError(f'config.{section} of the study is missing or empty')
  for name, method in config['methods'].items():
    try:
      pretrain.check({**method, 'seed': 0})
    except errors.UserError as e:
      raise errors.UserError(f'methods.{name}: {e}') from e
  for name, evaluation in config['evaluations'].items():
    try:
      module = evaluate if 'protocol' in evaluation else linear_probe
      module.check({**evaluation, 'seed': 0})
    except errors.UserError as e:
      raise errors.UserError(f'evaluations.{name}: {e}') from e


def _describe(config: Config, workdir: pathlib.Path, command: str) -> None:
  """Writes study.json, what the report needs to know beside the results."""
  path = workdir / 'study.json'
  started = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  if path.exists():
    started = json.loads(path.read_text()).get('started', started)
  workdir_lib.write_json(path, {
      'name': config['name'],
      'title': config.get('title') or config['name'],
      'description': config.get('description') or '',
      'data': config.get('data_label') or '',
      'rehearsal': bool(config.get('rehearsal')),
      'published': config.get('published') or [],
      'labels': config.get('labels') or {},
      'methods': list(config['methods']), 'evaluations': list(config['evaluations']),
      'seeds': config['seeds'], 'config': config, 'command': command,
      'started': started, **workdir_lib.provenance()})


def main() -> None:
  app.setup_jax()
  workdir = pathlib.Path(app.require(_WORKDIR, 'runs/quickstart'))
  command = shlex.join(['python', '-m', 'ssl_jax.study', *sys.argv[1:]])
  page = run(app.config(_CONFIG), workdir, command)
  if jax.process_index() == 0:
    print(f'\n{report.summary(workdir)}\nThe report: {page}')


if __name__ == '__main__':
  _CONFIG = config_flags.DEFINE_config_file(
      'config', None, 'The study; see configs/studies/.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for all stages and the report.')
  app.run(main, default_config='configs/studies/quickstart.py')
