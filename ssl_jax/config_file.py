"""Reads --config=file.py:preset and --config.section.field=value."""

import dataclasses
import difflib
import importlib.machinery
import importlib.util
import inspect
import pathlib
import re
import traceback
import types
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from ssl_jax import config as config_lib
from ssl_jax import errors, fields, plain_config, renamed

# The folder that holds `configs`: in a wheel (see setup.py), or else the checkout.
# Configs import each other as `configs.x`. Default files are found in any folder.
_PACKAGED = pathlib.Path(__file__).parent / 'packaged'
ROOT = _PACKAGED if _PACKAGED.is_dir() else pathlib.Path(__file__).parents[1]
EXAMPLE = 'configs/simclr_cifar10.py'
_FLAG = re.compile(r'--?(no)?config(\..*)?')


@dataclasses.dataclass
class ConfigFlag:
  """The config of a command line: a file, and fields that replace those of the file.

  Attributes:
    target: the dataclass that declares the fields; see `config.parse`.
    default: the file if the command line names none; None if it must name one.
    file: the file of the command line, such as 'configs/simclr_cifar10.py:resnet50'.
    overrides: for each field, the names of its sections and its own name, and the text
      of its value, or True for a flag without a value.
  """
  target: config_lib.Target
  default: str | None
  file: str | None = None
  overrides: list[tuple[tuple[str, ...], str | bool]] = dataclasses.field(
      default_factory=list)

  def take(self, argv: Sequence[str]) -> list[str]:
    """Removes the flags of the config from a command line; returns the rest.

    A flag is `--config.x=value` or `--config.x value`. For True and False it may also
    be `--config.x` and `--noconfig.x`.

    Raises:
      errors.UserError: a flag has no value, or names no field.
    """
    rest, waiting = [argv[0]], list(argv[1:])
    while waiting:
      argument = waiting.pop(0)
      flag, equals, value = argument.partition('=')
      if argument == '--':
        return [*rest, argument, *waiting]
      if not (found := _FLAG.fullmatch(flag)):
        rest.append(argument)
        continue
      negated, path = found.groups()
      if not equals and not negated:
        follows = waiting and not re.match(r'-+[^\d.]', waiting[0])
        value = waiting.pop(0) if follows else True
      self._add(flag, path, False if negated else value)
    return rest

  def _add(self, flag: str, path: str | None, value: str | bool) -> None:
    if path is None:
      if not isinstance(value, str) or not value:
        raise errors.UserError(f'{flag} has no value; give the path of a config, for '
                               f'example --config={self.default or EXAMPLE}')
      self.file = value
      return
    names = tuple(path[1:].split('.'))
    if not all(name.isidentifier() for name in names):
      raise errors.UserError(f'{flag} names no field of the config; write a flag like '
                             '--config.seed=1')
    self.overrides.append((names, value))

  def read(self) -> dict[str, Any]:
    """Returns the config as plain values, after a check.

    Raises:
      errors.UserError: the file or the preset does not exist, the file is broken, or a
        field or its value is not accepted.
    """
    values = self.values()
    config_lib.parse(self.target, values)
    return values

  def values(self) -> dict[str, Any]:
    """Returns the config as plain values, without a check.

    The values of the file are replaced by the overrides, in their order.

    Raises:
      errors.UserError: the file or the preset does not exist, or the file is broken.
    """
    config = load(self._path())
    with config.unlocked(), config.ignore_type():
      for names, value in self.overrides:
        self._override(config, names, value)
    try:
      return plain_config.plain(config)
    except (TypeError, ValueError) as e:
      raise errors.UserError(
          f'--config={self._path()} has a value that cannot be written as JSON: {e}; '
          'use numbers, strings, lists and sections') from e

  def _path(self) -> str:
    path = self.file or self.default
    if path is None:
      raise errors.UserError(f'--config is missing, for example --config={EXAMPLE}')
    return path

  def _override(self, config: ConfigDict, names: tuple[str, ...],
                value: str | bool) -> None:
    """Sets one field, and makes the sections that it is in."""
    declared = dict(config_lib.leaves(self.target, config.to_dict())).get(
        '.'.join(names))
    holder = config
    for depth, name in enumerate(names[:-1], start=1):
      if holder.get(name) is None:
        holder[name] = ConfigDict()
      if not isinstance(holder[name], ConfigDict):
        section = '.'.join(names[:depth])
        raise errors.UserError(
            f'--config.{".".join(names)}: config.{section} is {holder[name]!r}, which '
            f'has no fields; set --config.{section} instead')
      holder = holder[name]
    if isinstance(value, str):
      value = _typed(value, declared, holder.get(names[-1]))
    if isinstance(value, bool) and names[-1] in holder:
      del holder[names[-1]]  # else ConfigDict converts True to the type of the number
    holder[names[-1]] = ConfigDict(value) if isinstance(value, dict) else value


def _typed(text: str, declared: config_lib.Field | None, present: Any) -> Any:
  """Converts the text of a flag to the declared type, or else to the present one."""
  if declared:
    return fields.from_text(text, declared.type)
  if isinstance(present, str):
    return text
  if isinstance(present, bool | tuple | list):
    kind = bool if isinstance(present, bool) else tuple[Any, ...]
    return fields.from_text(text, kind)
  return fields.literal(text)


def load(file: str) -> ConfigDict:
  """Returns the config of 'file.py' or 'file.py:preset', by a call of `get_config`.

  Raises:
    errors.UserError: the file or the preset does not exist, or the file is broken.
  """
  path, _, preset = split(file)
  module = read_module(file)
  presets = getattr(module, 'PRESETS', None)
  if preset and presets is not None and preset not in presets:
    raise errors.UserError(f'--config={path}:{preset}: {preset!r} is not one of '
                           f'{", ".join(presets)}{errors.suggestion(preset, presets)}')
  if not callable(get_config := getattr(module, 'get_config', None)):
    raise errors.UserError(f'--config={path} has no function get_config(); add one '
                           'that returns a ConfigDict')
  if preset and not inspect.signature(get_config).parameters:
    raise errors.UserError(f'--config={file}: {path} has no presets; leave out '
                           f'":{preset}"')
  try:
    config = get_config(*([preset] if preset else []))
  except Exception as e:
    raise _broken(file, e) from e
  if not isinstance(config, ConfigDict | dict):
    raise errors.UserError(f'--config={path}: get_config() returns {config!r}; it must '
                           'return a ConfigDict')
  return ConfigDict(config) if isinstance(config, dict) else config


def split(file: str) -> tuple[str, str, str]:
  """Splits 'configs/x.py:preset' into ('configs/x.py', ':', 'preset')."""
  path, colon, preset = file.partition('.py:')
  return (f'{path}.py', ':', preset) if colon else (file, '', '')


def read_module(file: str) -> types.ModuleType:
  """Executes a config file and returns its module.

  The path is relative to the working directory or, if it does not exist there, to the
  project.

  Raises:
    errors.UserError: the file does not exist, or it raises an exception.
  """
  given = split(file)[0]
  path = pathlib.Path(given).expanduser()
  if not path.exists() and (ROOT / path).exists():
    path = ROOT / path
  if not path.is_file():
    if new := renamed.CONFIG_FILES.get(path.name):
      raise errors.UserError(f'--config={given} is now called configs/studies/{new}; '
                             'use that name')
    what = 'is a folder' if path.is_dir() else 'does not exist'
    there = {p.name: p for p in sorted(
        [*ROOT.glob('configs/**/*.py'), *path.parent.glob('*.py')])}
    close = difflib.get_close_matches(path.name, there, n=1, cutoff=0.5)
    near = there[close[0]] if close else pathlib.Path(EXAMPLE)
    if near.is_relative_to(ROOT):
      near = near.relative_to(ROOT)
    hint = f'did you mean {str(near)!r}?' if close else f'use a file such as {near}'
    raise errors.UserError(f'--config={given} {what}; {hint}')
  loader = importlib.machinery.SourceFileLoader('config_file', str(path))
  module = importlib.util.module_from_spec(
      importlib.util.spec_from_loader('config_file', loader))
  try:
    loader.exec_module(module)
  except Exception as e:
    raise _broken(file, e) from e
  return module


def _broken(file: str, error: Exception) -> errors.UserError:
  """Returns an error of one sentence for an exception that a config file raised."""
  reason = ' '.join(str(error).split()) or 'the exception has no message'
  if isinstance(error, errors.UserError):
    return error
  if isinstance(error, SyntaxError):
    return errors.UserError(
        f'{error.filename or file} line {error.lineno}: {error.msg}')
  frames = traceback.extract_tb(error.__traceback__)
  if isinstance(error, ValueError) and frames[-1].line.startswith('raise '):
    return errors.UserError(f'--config={file}: {reason}')
  own = [f for f in frames if pathlib.Path(f.filename).name == split(file)[0].split(
      '/')[-1]] or frames
  return errors.UserError(f'{own[-1].filename} line {own[-1].lineno}: '
                          f'{type(error).__name__}: {reason}')
