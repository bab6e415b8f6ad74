"""Lists the stages of a study from its config: methods x seeds x evaluations."""

import dataclasses
import pathlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

from ssl_jax import config as config_lib
from ssl_jax import errors, plain_config
from ssl_jax.jobs import compress, evaluate, finetune, linear_probe, pictures, pretrain
from ssl_jax.train import checkpoint as checkpoint_lib

Config = Mapping[str, Any]
PRETRAIN = 'pretrain'  # the first stage of a method, and its folder
PICTURES = 'pictures'  # the last stage of a method, with its first seed only
# Field of a method that compresses the encoder of another method: its name.
COMPRESSES = 'compressed_from'


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
  """Declares a study: the fields of a config of this binary."""
  name: str = config_lib.field(doc='Short name of the study')
  title: str | None = config_lib.field(
      None, doc='Heading of the report; None is the name')
  description: str | None = config_lib.field(
      None, doc='First paragraph of the report')
  data_label: str | None = config_lib.field(
      None, doc='Name of the data in the report')
  seeds: tuple[int, ...] = config_lib.field(
      low=0, high=2**32 - 1, nonempty=True, doc='Seeds; all stages are run for each')
  methods: dict = config_lib.field(
      doc='By name: the config of a pre-training (python -m ssl_jax.pretrain --help '
      'lists its fields), or the checkpoint of one, or compressed_from, the name of '
      'another method, and the config by which its encoder is compressed (--help of '
      'ssl_jax.compress)')
  evaluations: dict = config_lib.field(
      doc='By name: the config of an evaluation (--help of ssl_jax.evaluate, '
      'ssl_jax.linear_probe and ssl_jax.finetune lists its fields); methods, subsets '
      'and data_sets select its encoders and its data')
  display_names: dict | None = config_lib.field(
      None, doc='Names of methods and evaluations in the report')
  published: tuple[dict, ...] = config_lib.field(
      (), doc='Published results that the report shows next to its own: method, '
      'evaluation, value in percent and source')
  pictures: dict | None = config_lib.field(
      None, doc='The config of the pictures (--help of ssl_jax.pictures), which are '
      'made for the first seed of every method that is no cell of the heat map; '
      '`methods` selects fewer; None makes none')
  heatmap: dict | None = config_lib.field(
      None, doc='Axes and cells of a figure that shows all methods')
  rehearsal: str | None = config_lib.internal('The changes that --scale made')


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One evaluation of encoders.

  Attributes:
    name: its name and its folder, such as 'linear'; 'linear_1pct' for a label subset,
      'linear_food101' for one of several data sets.
    fields: the plain config of the job that does it.
    methods: the methods whose encoders it evaluates.
    subset: for a label subset, its group and its column, such as ('linear', '1pct').
    data_set: for one of several data sets, its group and its column, such as
      ('linear', 'food101').
  """
  name: str
  fields: Config
  methods: tuple[str, ...]
  subset: tuple[str, ...] = ()
  data_set: tuple[str, ...] = ()

  @property
  def module(self) -> types.ModuleType:
    """The module in jobs/ that does it."""
    if self.name == PICTURES:
      return pictures
    if 'protocol' in self.fields:
      return evaluate
    return finetune if 'freeze_until' in self.fields else linear_probe


@dataclasses.dataclass(frozen=True)
class Stage:
  """One run with its own folder, that makes an encoder or evaluates it."""
  method: str
  seed: int
  evaluation: Evaluation | None = None

  @property
  def name(self) -> str:
    """The name of the stage and of its folder."""
    return self.evaluation.name if self.evaluation else PRETRAIN

  def __str__(self) -> str:
    return f'{self.method}, seed {self.seed}: {self.name}'


def resolve(config: Config) -> dict[str, Any]:
  """Returns the plain config; a method with a checkpoint keeps no other field."""
  config = plain_config.plain(config)
  methods = {}
  for name, fields in (config.get('methods') or {}).items():
    path = fields.get('checkpoint')
    methods[name] = ({'checkpoint': path} if path else
                     {k: v for k, v in fields.items() if k != 'checkpoint'})
  return {**config, 'methods': methods}


def evaluations(config: Config) -> list[Evaluation]:
  """Returns the evaluations of a study, one for each label subset and data set.

  Raises:
    errors.UserError: an evaluation names a method that the study does not have, or two
      evaluations have the same folder.
  """
  found = {PRETRAIN: None, PICTURES: None}
  for group, fields in config['evaluations'].items():
    methods = fields.get('methods') or list(config['methods'])
    if isinstance(methods, str):
      raise errors.UserError(f'config.evaluations.{group}.methods is {methods!r}; '
                             f'give a list, such as ({methods!r},)')
    for method in methods:
      errors.lookup(f'config.evaluations.{group}.methods', method, config['methods'])
    for evaluation in _columns(group, fields, tuple(methods)):
      if evaluation.name in found:
        raise errors.UserError(f'config.evaluations.{group} would write the folder '
                               f'{evaluation.name!r}, which another stage writes; '
                               'rename it')
      found[evaluation.name] = evaluation
  return [e for e in found.values() if e is not None]


def pictures_of(config: Config) -> Evaluation | None:
  """Returns the stage that makes pictures as an evaluation; None without pictures.

  Raises:
    errors.UserError: it names a method that the study does not have.
  """
  if (fields := config.get('pictures')) is None:
    return None
  cells = (config.get('heatmap') or {}).get('cells') or {}
  methods = fields.get('methods') or [m for m in config['methods'] if m not in cells]
  for method in methods:
    errors.lookup('config.pictures.methods', method, config['methods'])
  return Evaluation(PICTURES, {k: v for k, v in fields.items() if k != 'methods'},
                    tuple(methods))


def _columns(group: str, fields: Config, methods: tuple[str, ...]
             ) -> Iterator[Evaluation]:
  """Yields one evaluation for each subset or data set of a group, or for the group."""
  fields = {k: v for k, v in fields.items() if k != 'methods'}
  subsets, data_sets = (fields.pop(k, None) for k in ('subsets', 'data_sets'))
  if subsets and data_sets:
    raise errors.UserError(f'config.evaluations.{group} has subsets and data_sets; '
                           'give one of them')
  for column, labels in (subsets or {}).items():
    labelled = {**fields, 'data': {**fields.get('data', {}), 'label_subset': labels}}
    yield Evaluation(f'{group}_{column}', labelled, methods, subset=(group, column))
  for column, own in (data_sets or {}).items():
    yield Evaluation(f'{group}_{column}', plain_config.merge(fields, own), methods,
                     data_set=(group, column))
  if not subsets and not data_sets:
    yield Evaluation(group, fields, methods)


def stages(config: Config) -> Iterator[Stage]:
  """Yields all stages, ordered by seed first.

  An unfinished study therefore has all methods of some seeds, which can be compared.
  """
  wanted, drawn = evaluations(config), pictures_of(config)
  for seed in config['seeds']:
    for method, fields in config['methods'].items():
      if 'checkpoint' not in fields:
        yield Stage(method, seed)
      yield from (Stage(method, seed, e) for e in wanted if method in e.methods)
      if drawn and method in drawn.methods and seed == config['seeds'][0]:
        yield Stage(method, seed, drawn)


def check(config: Config) -> None:
  """Checks the configs of all stages.

  Raises:
    errors.UserError: a config has a mistake that can be found without data.
  """
  config_lib.build(StudyConfig, config)
  for section in ('methods', 'evaluations'):
    if not config[section]:
      raise errors.UserError(f'config.{section} of the study is empty')
  for name, method in config['methods'].items():
    try:
      if 'checkpoint' in method:
        for seed in config['seeds']:
          checkpoint_of(method, seed)
      elif COMPRESSES in method:
        _check_source(config, name)
        compress.parse({**compression_of(method), 'seed': 0})
      else:
        pretrain.parse({**method, 'seed': 0})
    except errors.UserError as e:
      raise errors.UserError(f'methods.{name}: {e}') from e
  for evaluation in filter(None, (*evaluations(config), pictures_of(config))):
    try:
      evaluation.module.parse({**evaluation.fields, 'seed': 0})
    except errors.UserError as e:
      place = '' if evaluation.name == PICTURES else 'evaluations.'
      raise errors.UserError(f'{place}{evaluation.name}: {e}') from e


def _check_source(config: Config, name: str) -> None:
  """Raises `errors.UserError` unless a method compresses an earlier, dense method."""
  methods, source = config['methods'], config['methods'][name][COMPRESSES]
  earlier = list(methods)[:list(methods).index(name)]
  errors.lookup(COMPRESSES, source, {
      other: None for other in earlier if COMPRESSES not in methods[other]})


def compression_of(method: Config) -> dict[str, Any]:
  """Returns the config of the compression of a method that compresses another one."""
  return {name: value for name, value in method.items() if name != COMPRESSES}


def checkpoint_of(method: Config, seed: int) -> pathlib.Path:
  """Returns the folder of the checkpoints that a method names.

  Args:
    method: its field `checkpoint` is a path, in which {seed} stands for the seed.
    seed: the seed.

  Raises:
    errors.UserError: the folder has no checkpoints.
  """
  return checkpoint_lib.locate(method['checkpoint'].replace('{seed}', str(seed)))
