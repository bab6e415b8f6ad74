"""Writes the text of --help."""

import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from absl import flags

from ssl_jax import config as config_lib
from ssl_jax import config_file, errors, plain_config

_WIDTH = 88
_REQUESTS = ('--help', '-help', '-h', '--helpshort', '-helpshort')


def requested(argv: list[str]) -> bool:
  """Returns whether a command line asks for help; absl handles --helpfull."""
  return any(argument in _REQUESTS for argument in argv[1:])


def text(config: config_file.ConfigFlag | None) -> str:
  """Returns the docstring of the binary, its flags, and the fields of its config."""
  main = sys.modules['__main__']
  parts = [inspect.cleandoc(main.__doc__ or ''), '\nFlags:', *_flags()]
  if config is not None:
    parts += _config(config)
  return '\n'.join(parts)


def _flags() -> Iterator[str]:
  """Yields the flags of the binary, and those that all binaries have."""
  by_module = flags.FLAGS.flags_by_module_dict()
  for module in (sys.argv[0], '__main__', 'ssl_jax.cli'):
    for flag in by_module.get(module, ()):
      default = '' if flag.default is None else f' (default: {flag.default})'
      yield _entry(f'--{flag.name}', f'{flag.help}{default}')
  yield _entry('--helpfull', 'Shows also the flags of all libraries.')


def _config(flag: config_file.ConfigFlag) -> Iterator[str]:
  default = flag.default or 'none, it is required'
  yield _entry('--config', f'The config file, and after a colon its preset (default: '
               f'{default}).')
  yield _entry('--config.x.y', 'A value that replaces that of the config file, for any '
               'field below, such as --config.seed=1.')
  fields: Mapping[str, Any] = {}
  if path := flag.file or flag.default:
    try:
      presets = getattr(config_file.read_module(path), 'PRESETS', None)
      fields = flag.read()
    except errors.UserError as e:
      yield f'\n{e}'
    else:
      if presets:
        yield f'\nPresets of {config_file.split(path)[0]}:'
        yield _entry('', ', '.join(presets))
  yield f'\nFields, and their values in {path}:' if path else '\nFields:'
  yield from _fields(flag.target, fields)


def _fields(target: config_lib.Target, values: Mapping[str, Any]) -> Iterator[str]:
  present = dict(plain_config.flatten(values))
  before = ''
  for path, one in config_lib.leaves(target, values):
    if one.rule.internal:
      continue
    section = path.rpartition('.')[0]
    if section.partition('.')[0] != before:
      before = section.partition('.')[0]
      yield ''
    value = present.get(path, one.default)
    shown = '' if value is config_lib.MISSING else f' = {_short(value)}'
    doc = one.rule.doc[:1].upper() + one.rule.doc[1:]
    yield _entry(f'--config.{path}{shown}',
                 f'{doc.rstrip(".")}. Accepted: {one.accepted}.')


def _short(value: Any) -> str:
  """Formats a value, shortened to 60 characters."""
  return textwrap.shorten(repr(value), 60, placeholder=' ...')


def _entry(name: str, doc: str) -> str:
  wrapped = textwrap.fill(' '.join(doc.split()), _WIDTH, initial_indent='      ',
                          subsequent_indent='      ')
  return f'  {name}\n{wrapped}' if name else wrapped
