"""What every binary does: parse flags, join the cluster, fail in one sentence.

Exit status: 0 done; 2 a user's mistake, told in one sentence; 75 stopped by
SIGTERM with the state saved (run the same command again).
"""

import logging as std_logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from ssl_jax import config as config_lib
from ssl_jax import errors

USER_ERROR, PREEMPTED = 2, 75
_DISTRIBUTED = flags.DEFINE_bool(
    'distributed', False, 'Join the other hosts of a TPU pod or a Slurm job. Not '
    'needed where JAX_COORDINATOR_ADDRESS is set.')


def run(main: Callable[[], None], default_config: str | None = None) -> None:
  """Runs `main()` after parsing flags; turns `UserError` into one sentence."""
  app.run(lambda argv: _guarded(main, argv),
          flags_parser=lambda argv: _parse(argv, default_config))


def _guarded(main: Callable[[], None], argv: Sequence[str]) -> None:
  logging.set_verbosity(logging.INFO)
  handler = logging.get_absl_handler()
  handler.setFormatter(None)
  handler.addFilter(_ours_or_serious)
  try:
    if argv[1:]:
      raise errors.UserError(f'unexpected argument {argv[1]!r}; flags start with --')
    main()
  except errors.UserError as e:
    _fail(f'error: {e}', USER_ERROR)
  except errors.Preempted as e:
    _fail(str(e), PREEMPTED)


def _ours_or_serious(record: std_logging.LogRecord) -> bool:
  """Other libraries are heard from WARNING up."""
  return (record.levelno >= std_logging.WARNING
          or pathlib.Path(__file__).parent in pathlib.Path(record.pathname).parents)


def _parse(argv: Sequence[str], default_config: str | None) -> list[str]:
  """Parses flags; what they say of a wrong one is cut down to its sentence."""
  argv = list(argv)
  # Configs import each other as `configs.x`, wherever the binary is started.
  sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
  # Not the flag's own default: that one is read before anything can be caught.
  if default_config and not any(re.match('--?config(=|$)', a) for a in argv):
    argv.insert(1, f'--config={default_config}')
  try:
    return flags.FLAGS(argv)
  except flags.Error as e:
    _fail(f'error: {str(e).strip().splitlines()[-1].strip()} (see --help)', USER_ERROR)
  except (AttributeError, KeyError) as e:
    # ml_collections says: 'name' Did you mean "x" instead of "name"?
    name = re.search(r'[A-Za-z_]\w*', str(e))[0]
    field = next((a for a in argv if f'.{name}' in a), name)
    hint = re.search(r'Did you mean "([^"]+)"', str(e))
    _fail(f'error: {field.split("=")[0].lstrip("-")} is not a field of the config'
          + (f'; did you mean {hint[1]!r}?' if hint else ''), USER_ERROR)


def _fail(sentence: str, status: int) -> NoReturn:
  print(sentence, file=sys.stderr, flush=True)
  sys.exit(status)


def setup_jax() -> None:
  """Compilation cache in the user's cache folder, then the other processes.

  Called by binaries that compute, before the first device is touched.
  """
  import jax  # Not at the top: `make_report` runs where jax is not installed.

  from ssl_jax.train import mesh
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    home = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(home) / 'ssl_jax'))
  mesh.initialize_distributed(_DISTRIBUTED.value)


def config(flag: flags.FlagHolder) -> dict[str, Any]:
  """The config that --config and its overrides describe, as plain dicts.

  Raises:
    errors.UserError: the file is not there or fails.
  """
  try:
    return config_lib.plain(flag.value)
  except OSError as e:
    while e.__cause__:
      e = e.__cause__
    reason = ' '.join(str(e).split())
    raise errors.UserError(f'--{flag.name} cannot be read: {reason}') from e


def require(flag: flags.FlagHolder, example: str) -> str:
  """The value of a flag that has no default.

  Raises:
    errors.UserError: it was not given; the sentence shows an example.
  """
  if not flag.value:
    raise errors.UserError(
        f'--{flag.name} is missing, for example --{flag.name}={example}')
  return flag.value
