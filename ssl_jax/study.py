"""The main job: pre-train several methods, evaluate them alike, report.

    python -m ssl_jax.study --config=configs/studies/quickstart.py --workdir=runs/q
    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet20.py \\
        --workdir=runs/b --scale=0.05

A study is a list of methods, seeds and evaluations. A method is a pre-training
config, or with `checkpoint` a run that there is already: its workdir, in which {seed}
stands for the seed. Every stage has a folder of its own,
<workdir>/<method>/seed<k>/<stage>. A stage that is done for the same config is not
done again: after a kill, or with one more seed, run the same command again. --scale
rehearses it on a part of the images, epochs and widths.
"""

import dataclasses
import datetime
import json
import pathlib
import shlex
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from absl import flags, logging

from ssl_jax import (
    app,
    config_file,
    errors,
    evaluate,
    finetune,
    linear_probe,
    pretrain,
    rehearsal,
    report,
)
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import encoder as encoder_lib

Config = Mapping[str, Any]
PRETRAIN = 'pretrain'  # the first stage of a method, and its folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
  """A study: what a config of this binary may hold."""
  name: str = config_lib.field(doc='Short name of the study')
  title: str | None = config_lib.field(
      None, doc='Heading of the report; None is the name')
  description: str | None = config_lib.field(
      None, doc='First paragraph of the report')
  data_label: str | None = config_lib.field(
      None, doc='What the report calls the data')
  seeds: tuple[int, ...] = config_lib.field(
      low=0, high=2**32 - 1, nonempty=True, doc='A repetition of everything for each')
  methods: dict = config_lib.field(
      doc='By name: the config of a pre-training (its fields: python -m '
      'ssl_jax.pretrain --help), or the checkpoint of one')
  evaluations: dict = config_lib.field(
      doc='By name: the config of an evaluation (its fields: --help of '
      'ssl_jax.evaluate, ssl_jax.linear_probe and ssl_jax.finetune); methods, subsets '
      'and data_sets say what it is done on')
  labels: dict | None = config_lib.field(
      None, doc='What the report calls methods and evaluations, by their name')
  published: tuple[dict, ...] = config_lib.field(
      (), doc='Published figures that the report shows beside: method, evaluation, '
      'value in percent and source')
  heatmap: dict | None = config_lib.field(
      None, doc='Axes and cells of a figure that shows all methods')
  rehearsal: str | None = config_lib.internal('What --scale did to the study')


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One measurement of an encoder; its name is its folder.

  Attributes:
    name: 'linear'; of a label subset 'linear_1pct', of a data set 'linear_food101'.
    fields: the config of the binary that does it.
    methods: that it applies to.
    subset: of a label subset its group and column, ('linear', '1pct').
    data_set: of one of several data sets likewise, ('linear', 'food101').
  """
  name: str
  fields: Config
  methods: tuple[str, ...]
  subset: tuple[str, ...] = ()
  data_set: tuple[str, ...] = ()

  @property
  def module(self) -> types.ModuleType:
    """The binary that does it."""
    if 'protocol' in self.fields:
      return evaluate
    return finetune if 'freeze_until' in self.fields else linear_probe


@dataclasses.dataclass(frozen=True)
class Stage:
  """A run with a folder of its own: a pre-training, or an evaluation of one."""
  method: str
  seed: int
  evaluation: Evaluation | None = None

  @property
  def name(self) -> str:
    return self.evaluation.name if self.evaluation else PRETRAIN

  def __str__(self) -> str:
    return f'{self.method}, seed {self.seed}: {self.name}'


def run(config: Config, workdir: pathlib.Path, command: str = '') -> pathlib.Path:
  """Runs what is not yet done and writes the report; returns its path.

  Raises:
    errors.UserError: a mistake in the config, found before anything runs; or
      stages that failed, named after all the others are done and reported.
  """
  config = resolve(config)
  _check(config)
  workdir = workdir_lib.writable(workdir)
  _describe(config, workdir, command)
  failed = _run_stages(config, list(_stages(config)), workdir)
  page = report.write(workdir) if jax.process_index() == 0 else workdir
  if failed:
    stages = 'stage' if len(failed) == 1 else 'stages'
    raise errors.UserError(f'{len(failed)} {stages} failed, for the reasons above: '
                           f'{"; ".join(failed)}; the others are in {page}')
  return page


def resolve(config: Config) -> dict[str, Any]:
  """Plain; of a method that names a checkpoint nothing else is left."""
  config = config_lib.plain(config)
  methods = {}
  for name, fields in (config.get('methods') or {}).items():
    path = fields.get('checkpoint')
    methods[name] = ({'checkpoint': path} if path else
                     {k: v for k, v in fields.items() if k != 'checkpoint'})
  return {**config, 'methods': methods}


def evaluations(config: Config) -> list[Evaluation]:
  """The evaluations of a study, one for each label subset or data set they have.

  Raises:
    errors.UserError: a method that the study does not have, or two evaluations
      with one folder.
  """
  found = {PRETRAIN: None}
  for group, fields in config['evaluations'].items():
    methods = fields.get('methods') or list(config['methods'])
    if isinstance(methods, str):
      raise errors.UserError(f'config.evaluations.{group}.methods is {methods!r}; '
                             f'give a list, such as ({methods!r},)')
    for method in methods:
      errors.choose(f'config.evaluations.{group}.methods', method, config['methods'])
    for evaluation in _columns(group, fields, tuple(methods)):
      if evaluation.name in found:
        raise errors.UserError(f'config.evaluations.{group} would write the folder '
                               f'{evaluation.name!r}, which is taken; rename it')
      found[evaluation.name] = evaluation
  return [e for e in found.values() if e is not None]


def _columns(group: str, fields: Config, methods: tuple[str, ...]
             ) -> Iterator[Evaluation]:
  """The group itself; or one evaluation for each of its subsets or data sets."""
  fields = {k: v for k, v in fields.items() if k != 'methods'}
  subsets, data_sets = (fields.pop(k, None) for k in ('subsets', 'data_sets'))
  if subsets and data_sets:
    raise errors.UserError(f'config.evaluations.{group} has subsets and data_sets; '
                           'give one of them')
  for column, labels in (subsets or {}).items():
    labelled = {**fields, 'data': {**fields.get('data', {}), 'labels': labels}}
    yield Evaluation(f'{group}_{column}', labelled, methods, subset=(group, column))
  for column, own in (data_sets or {}).items():
    yield Evaluation(f'{group}_{column}', config_lib.merge(fields, own), methods,
                     data_set=(group, column))
  if not subsets and not data_sets:
    yield Evaluation(group, fields, methods)


def _stages(config: Config) -> Iterator[Stage]:
  """Seed by seed, so that an unfinished study compares all methods on few seeds."""
  wanted = evaluations(config)
  for seed in config['seeds']:
    for method, fields in config['methods'].items():
      if 'checkpoint' not in fields:
        yield Stage(method, seed)
      yield from (Stage(method, seed, e) for e in wanted if method in e.methods)


def _run_stages(config: Config, stages: list[Stage],
                workdir: pathlib.Path) -> list[str]:
  """Runs what is not done and says why a stage fails; returns those that failed."""
  failed, encoder, remaining = {}, None, False
  done = []  # is told once it is clear that something remains
  for i, stage in enumerate(stages, start=1):
    if encoder != (stage.method, stage.seed):
      encoder, extracted = (stage.method, stage.seed), {}  # what its stages share
    if stage.evaluation and str(Stage(*encoder)) in failed:
      continue
    folder = workdir / stage.method / f'seed{stage.seed}'
    place = f'[{i}/{len(stages)}] {stage}'
    try:
      fields = _fields(config, stage, folder)
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


def _fields(config: Config, stage: Stage, folder: pathlib.Path) -> dict[str, Any]:
  """Makes the whole config of a stage; of an evaluation it names the encoder's too."""
  trained = {**config['methods'][stage.method], 'seed': stage.seed}
  if 'checkpoint' in trained:
    path = _checkpoint(trained, stage.seed)
    trained |= {'checkpoint': str(path), 'step': checkpoint_lib.newest_step(path)}
  if stage.evaluation is None:
    return trained
  encoder = encoder_lib.identify_if_there(trained.get('checkpoint', folder / PRETRAIN))
  return {**stage.evaluation.fields, 'seed': stage.seed, 'pretrain': trained,
          'encoder': encoder}


def _run_stage(stage: Stage, fields: Config, folder: pathlib.Path,
               extracted: dict[str, evaluate.Splits]) -> None:
  workdir, label = folder / stage.name, f'{stage.method} seed {stage.seed}'
  if stage.evaluation is None:
    pretrain.run(fields, workdir, label=label)
    return
  args = fields, fields['encoder']['path'], workdir
  if stage.evaluation.module is evaluate:
    evaluate.run(*args, extracted)
  else:
    stage.evaluation.module.run(*args, f'{label} {stage.name}')


def _check(config: Config) -> None:
  """Finds the mistakes that can be found without data, in every method at once."""
  config_lib.parse(StudyConfig, config)
  for section in ('methods', 'evaluations'):
    if not config[section]:
      raise errors.UserError(f'config.{section} of the study is empty')
  for name, method in config['methods'].items():
    try:
      if 'checkpoint' in method:
        for seed in config['seeds']:
          _checkpoint(method, seed)
      else:
        pretrain.check({**method, 'seed': 0})
    except errors.UserError as e:
      raise errors.UserError(f'methods.{name}: {e}') from e
  for evaluation in evaluations(config):
    try:
      evaluation.module.check({**evaluation.fields, 'seed': 0})
    except errors.UserError as e:
      raise errors.UserError(f'evaluations.{evaluation.name}: {e}') from e


def _checkpoint(method: Config, seed: int) -> pathlib.Path:
  """Where the checkpoints are that a method was given.

  Raises:
    errors.UserError: there are none.
  """
  return checkpoint_lib.locate(method['checkpoint'].replace('{seed}', str(seed)))


def _describe(config: Config, workdir: pathlib.Path, command: str) -> None:
  """Writes study.json, what the report needs to know beside the results."""
  if jax.process_index():
    return
  path = workdir / 'study.json'
  started = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  if path.exists():
    started = json.loads(path.read_text()).get('started', started)
  wanted = evaluations(config)
  workdir_lib.write_json(path, {
      'name': config['name'],
      'title': config.get('title') or config['name'],
      'description': config.get('description') or '',
      'data': config.get('data_label') or '',
      'rehearsal': config.get('rehearsal') or '',
      'published': config.get('published') or [],
      'labels': config.get('labels') or {},
      'methods': list(config['methods']),
      'evaluations': [e.name for e in wanted],
      'wanted': {e.name: e.methods for e in wanted},
      'subsets': {e.name: e.subset for e in wanted if e.subset},
      'data_sets': {e.name: e.data_set for e in wanted if e.data_set},
      'heatmap': config.get('heatmap'),
      'seeds': config['seeds'], 'config': config, 'command': command,
      'started': started, **workdir_lib.provenance()})


def main() -> None:
  app.setup_jax()
  workdir = pathlib.Path(app.require(_WORKDIR, 'runs/quickstart'))
  command = shlex.join(['python', '-m', 'ssl_jax.study', *sys.argv[1:]])
  config = resolve(app.config(_CONFIG))
  if _SCALE.value is not None:
    _check(config)
    config = rehearsal.shrink(config, _SCALE.value)
  page = run(config, workdir, command)
  if jax.process_index() == 0:
    print(f'\n{report.summary(workdir)}\nThe report: {page}')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(StudyConfig, 'configs/studies/quickstart.py')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for all stages and the report.')
  _SCALE = flags.DEFINE_float(
      'scale', None, 'Rehearse: this fraction of the images and epochs, narrower '
      'networks; between 0 and 1.')
  app.run(main, _CONFIG)
