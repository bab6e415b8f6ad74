"""Runs the stages of a study that are not finished, and writes its report."""

import datetime
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging

from ssl_jax import errors, report
from ssl_jax.jobs import compress, evaluate, pretrain
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import provenance
from ssl_jax.studies import stages as stages_lib
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import encoder as encoder_lib

Config = Mapping[str, Any]


def run(config: Config, workdir: pathlib.Path, command: str = '') -> pathlib.Path:
  """Runs the stages that are not finished and writes the report; returns its path.

  Args:
    config: the config of the study.
    workdir: the folder of the study.
    command: the command line, which the report shows.

  Raises:
    errors.UserError: the config has a mistake, which is found before a stage runs; or
      stages failed, in which case the others have run and the report is written.
  """
  config = stages_lib.resolve(config)
  stages_lib.check(config)
  workdir = workdir_lib.writable(workdir)
  _describe(config, workdir, command)
  failed = _run_stages(config, list(stages_lib.stages(config)), workdir)
  page = report.write(workdir) if jax.process_index() == 0 else workdir
  if failed:
    stages = 'stage' if len(failed) == 1 else 'stages'
    raise errors.UserError(
        f'{len(failed)} {stages} failed: {"; ".join(failed)}; the log above gives the '
        f'reasons, and {page} has the results of the others')
  return page


def _run_stages(config: Config, stages: list[stages_lib.Stage],
                workdir: pathlib.Path) -> list[str]:
  """Runs the stages that are not finished; returns the names of those that failed."""
  failed, encoder, remaining = {}, None, False
  done = []  # lines that are logged if a stage is not finished
  for i, stage in enumerate(stages, start=1):
    if encoder != (stage.method, stage.seed):  # its evaluations share their features
      encoder, extracted = (stage.method, stage.seed), {}
    if _needed(config, stage) & failed.keys():
      continue
    folder = workdir / stage.method / f'seed{stage.seed}'
    place = f'[{i}/{len(stages)}] {stage}'
    try:
      fields = _fields(config, stage, workdir)
      if workdir_lib.finished(folder / stage.name, fields) is not None:
        outcome = workdir_lib.outcome(folder / stage.name, fields)
        done.append(f'{place}  {outcome} (done)')
        continue
      remaining = True
      logging.info('%s', '\n'.join([*done, place]))
      done.clear()
      _run_stage(stage, fields, folder, extracted)
      logging.info('%s  %s', place, workdir_lib.outcome(folder / stage.name, fields))
    except errors.UserError as e:
      known = next((s for s, reason in failed.items() if reason == str(e)), '')
      logging.error('%s failed%s', stage, f' as {known} did' if known else f': {e}')
      failed[str(stage)] = str(e)
  if not remaining and not failed:
    done = [f'{workdir} is finished ({len(stages)} stages); nothing was done']
  if done:
    logging.info('%s', '\n'.join(done))
  return list(failed)


def _needed(config: Config, stage: stages_lib.Stage) -> set[str]:
  """Returns the names of the stages without which a stage cannot run."""
  source = config['methods'][stage.method].get(stages_lib.COMPRESSES)
  methods = {source} - {None} | ({stage.method} if stage.evaluation else set())
  return {str(stages_lib.Stage(method, stage.seed)) for method in methods}


def _fields(config: Config, stage: stages_lib.Stage,
            workdir: pathlib.Path) -> dict[str, Any]:
  """Returns the whole config of a stage, with the identity of the encoder it needs."""
  method = config['methods'][stage.method]
  trained = {**method, 'seed': stage.seed}
  if 'checkpoint' in trained:
    path = stages_lib.checkpoint_of(trained, stage.seed)
    trained |= {'checkpoint': str(path), 'step': checkpoint_lib.newest_step(path)}
  if stage.evaluation is None:
    if source := method.get(stages_lib.COMPRESSES):
      return {**stages_lib.compression_of(trained),
              'encoder': _encoder(config, source, stage.seed, workdir)}
    return trained
  return {**stage.evaluation.fields, 'seed': stage.seed, 'pretrain': trained,
          'encoder': _encoder(config, stage.method, stage.seed, workdir)}


def _encoder(config: Config, method: str, seed: int,
             workdir: pathlib.Path) -> dict[str, Any]:
  """Returns the identity of the encoder of a method and a seed."""
  fields = config['methods'][method]
  return encoder_lib.identify_if_there(
      stages_lib.checkpoint_of(fields, seed) if 'checkpoint' in fields else
      workdir / method / f'seed{seed}' / stages_lib.PRETRAIN)


def _run_stage(stage: stages_lib.Stage, fields: Config, folder: pathlib.Path,
               extracted: dict[str, evaluate.Splits]) -> None:
  workdir, label = folder / stage.name, f'{stage.method} seed {stage.seed}'
  if stage.evaluation is None:
    if encoder := fields.get('encoder'):  # of the method that is compressed
      config = {name: value for name, value in fields.items() if name != 'encoder'}
      compress.run(config, encoder['path'], workdir, label)
    else:
      pretrain.run(fields, workdir, label=label)
    return
  args = fields, fields['encoder']['path'], workdir
  if stage.evaluation.module is evaluate:
    evaluate.run(*args, extracted)
  else:
    stage.evaluation.module.run(*args, f'{label} {stage.name}')


def _describe(config: Config, workdir: pathlib.Path, command: str) -> None:
  """Writes study.json, which the report reads together with the results."""
  if jax.process_index():
    return
  path = workdir / 'study.json'
  started = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  if path.exists():
    started = json.loads(path.read_text()).get('started', started)
  wanted = stages_lib.evaluations(config)
  workdir_lib.write_json(path, {
      'name': config['name'],
      'title': config.get('title') or config['name'],
      'description': config.get('description') or '',
      'data': config.get('data_label') or '',
      'rehearsal': config.get('rehearsal') or '',
      'published': config.get('published') or [],
      'labels': config.get('display_names') or {},
      'methods': list(config['methods']),
      'evaluations': [e.name for e in wanted],
      'wanted': {e.name: e.methods for e in wanted},
      'subsets': {e.name: e.subset for e in wanted if e.subset},
      'data_sets': {e.name: e.data_set for e in wanted if e.data_set},
      'heatmap': config.get('heatmap'),
      'seeds': config['seeds'], 'config': config, 'command': command,
      'started': started, **provenance.collect()})


def show(page: pathlib.Path, workdir: pathlib.Path) -> None:
  """Prints the tables of results and the path of the report, on process 0 only."""
  if jax.process_index() == 0:
    print(f'\n{report.summary(workdir)}\nThe report: {page}')
