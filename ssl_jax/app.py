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

from absl import app, flags, logging

from ssl_jax import errors

USER_ERROR, PREEMPTED = 2, 75


def run(main: Callable[[], None]) -> None:
  """Runs `main()` after parsing flags; turns `UserError` into one sentence."""
  app.run(lambda argv: _guarded(main, argv), flags_parser=_parse)


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
    _fail(str(e))


def _ours_or_serious(record: std_logging.LogRecord) -> bool:
  """Other libraries are heard from WARNING up."""
  return (record.levelno >= std_logging.WARNING
          or pathlib.Path(__file__).parent in pathlib.Path(record.pathname).parents)


def _parse(argv: Sequence[str]) -> list[str]:
  """absl's parser; an override of an unknown config field is one sentence too."""
  try:
    return app.parse_flags_with_usage(list(argv))
  except (AttributeError, KeyError) as e:
    text = str(e.args[0] if e.args else e)
    names = re.findall(r'["\']([\w.]+)["\']', text)
    field = next((a for a in argv if names and f'.{names[0]}' in a), text)
    hint = re.search(r'Did you mean "([^"]+)"', text)
    _fail(f'{field.split("=")[0].lstrip("-")} is not a field of the config'
          + (f'; did you mean {hint[1]!r}?' if hint else ''))
    raise AssertionError from e


def _fail(sentence: str) -> None:
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  sys.exit(USER_ERROR)


def setup_jax() -> None:
  """Compilation cache in the user's cache folder, then the other processes.

  Called by binaries that compute, before the first device is touched.
  """
  import jax  # Not at the top: `make_report` runs where jax is not installed.

  from ssl_jax.train import mesh
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    home = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(home) / 'ssl_jax'))
  mesh.initialize_distributed()


def require(flag: flags.FlagHolder, example: str) -> str:
  """The value of a flag that has no default.

  Raises:
    errors.UserError: it was not given; the sentence shows an example.
  """
  if not flag.value:
    raise errors.UserError(
        f'--{flag.name} is missing, for example --{flag.name}={example}')
  return flag.value
