"""Runs a binary: parses flags, joins the cluster, and reports errors in one sentence.

The exit status is 0 if the work is done, and 2 after a mistake of the user, which one
sentence explains. It is 75 if SIGTERM or Ctrl-C stopped the process and the state was
saved; the same command then continues. It is 143 or 130 if they stopped the process and
no state had to be saved.
"""

import os
import pathlib
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from ssl_jax import config_file, errors, own_log, usage
from ssl_jax.parallel import preemption

USER_ERROR = 2
# Seconds that a failed process waits at exit for the others. Processes that failed with
# it exit at once, and those that wait for it in a collective fail when it has exited.
_LEAVE_AFTER = 30
_DISTRIBUTED = flags.DEFINE_bool(
    'distributed', False, 'Join the other hosts of a TPU pod or a Slurm job. It is not '
    'needed if JAX_COORDINATOR_ADDRESS is set.')
_JOIN_TIMEOUT = flags.DEFINE_integer(
    'join_timeout', 300, 'Seconds to wait for the other processes of a multi-host run.',
    lower_bound=1)


def run(main: Callable[[], None], config: config_file.ConfigFlag | None = None) -> None:
  """Parses flags and runs `main()`; prints a `UserError` as one sentence.

  Args:
    main: does the work.
    config: the flag --config, if the binary has one; `main` reads it by `cli.config`.
  """
  app.run(lambda argv: _guarded(main, argv),
          flags_parser=lambda argv: _parse(argv, config))


def _guarded(main: Callable[[], None], argv: Sequence[str]) -> None:
  logging.set_verbosity(logging.INFO)
  handler = logging.get_absl_handler()
  handler.setFormatter(None)
  handler.addFilter(own_log.ours_or_serious)
  preemption.install_handlers()
  try:
    if argv[1:]:
      raise errors.UserError(f'unexpected argument {argv[1]!r}; flags start with --')
    main()
  except errors.UserError as e:
    _leave_others(USER_ERROR)
    _fail(f'error: {e}', USER_ERROR)
  except errors.Preempted as e:
    _fail(str(e), errors.PREEMPTED)
  except Exception:
    _leave_others(1)
    raise


def _parse(argv: Sequence[str], config: config_file.ConfigFlag | None) -> list[str]:
  """Parses flags; prints one sentence and exits if a flag is wrong."""
  # Configs import each other as `configs.x`, whatever the working directory is.
  sys.path.insert(0, str(config_file.ROOT))
  try:
    rest = config.take(argv) if config else list(argv)
    if usage.requested(rest):
      print(usage.text(config))
      sys.exit()
    return flags.FLAGS(rest)
  except errors.UserError as e:
    _fail(f'error: {e}', USER_ERROR)
  except flags.Error as e:
    _fail(f'error: {str(e).strip().splitlines()[-1].strip()} (see --help)', USER_ERROR)


def _fail(sentence: str, status: int) -> NoReturn:
  print(sentence, file=sys.stderr, flush=True)
  sys.exit(status)


def _leave_others(status: int) -> None:
  """Limits the time that JAX waits for the other processes at exit, five minutes."""
  if os.environ.get('JAX_COORDINATOR_ADDRESS') or _DISTRIBUTED.value:
    _leave_after(_LEAVE_AFTER, status)


def _leave_after(seconds: float, status: int, say: Callable[[], str] = str
                 ) -> threading.Timer:
  """Starts a timer that ends the process, even if it waits in a C++ function."""
  def leave():
    if sentence := say():
      print(sentence, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  timer = threading.Timer(seconds, leave)
  timer.daemon = True
  timer.start()
  return timer


def setup_jax() -> None:
  """Sets the folder of compiled programs, and joins the cluster.

  Binaries that use JAX call it before the first device is used. The folder is in the
  user's cache folder. If the other processes do not join in time, the process prints a
  sentence and exits with status 2.
  """
  import jax  # not at the top, because `make_report` must run without JAX

  from ssl_jax.parallel import processes

  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    home = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(home) / 'ssl_jax'))
  seconds = _JOIN_TIMEOUT.value
  # JAX would abort in C++ with a stack trace, which `except` cannot catch.
  timer = _leave_after(seconds, USER_ERROR, lambda: _nobody_came(seconds))
  try:
    processes.join_cluster(_DISTRIBUTED.value, timeout=seconds + 60)
  finally:
    timer.cancel()


def _nobody_came(seconds: int) -> str:
  """Returns the message for a process that the others have not joined in time."""
  address = os.environ.get('JAX_COORDINATOR_ADDRESS', '')
  waited = f'after --join_timeout={seconds} seconds'
  if not address:
    return (f'error: the other processes have not joined {waited}; start this command '
            'on every host, or remove --distributed')
  process = f'process {os.environ["JAX_PROCESS_ID"]}'
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host.strip('[]'), int(port)), timeout=2).close()
  except OSError as e:
    return (f'error: {process} cannot reach process 0 at JAX_COORDINATOR_ADDRESS='
            f'{address} {waited} ({e.strerror}); check the address, the port, and that '
            'process 0 runs')
  return (f'error: {process} can reach {address}, but some of the '
          f'{os.environ["JAX_NUM_PROCESSES"]} processes are missing {waited}; start '
          'all, each with its own JAX_PROCESS_ID')


def config(flag: config_file.ConfigFlag) -> dict[str, Any]:
  """Returns the plain config that --config and its overrides describe.

  With several processes, it also checks that all have the same config and code.

  Raises:
    errors.UserError: the file does not exist or raises an exception, a field is not
      accepted, or processes differ.
  """
  from ssl_jax.parallel import processes, provenance  # they import JAX
  with processes.fail_together():
    fields = flag.read()
  processes.assert_equal_across_processes(
      {'config': fields, **provenance.versions()},
      'give all processes the same command, code and libraries')
  return fields


def require(flag: flags.FlagHolder, example: str) -> str:
  """Returns the value of a flag that has no default.

  Raises:
    errors.UserError: the flag is not set; the message shows the example.
  """
  if not flag.value:
    raise errors.UserError(
        f'--{flag.name} is missing, for example --{flag.name}={example}')
  return flag.value


def output_file(flag: flags.FlagHolder, folder: bool = False) -> pathlib.Path | None:
  """Returns the absolute path of a file to be written, or None if the flag is unset.

  Args:
    flag: holds the path.
    folder: whether it names a folder, which may exist, instead of a file.

  Raises:
    errors.UserError: its parent does not exist, or the other kind exists at the path;
      this is checked before the work.
  """
  if not flag.value:
    return None
  path = pathlib.Path(flag.value).absolute()
  other_kind = path.is_file() if folder else path.is_dir()
  if not path.parent.is_dir() or other_kind:
    raise errors.UserError(
        f'--{flag.name}={flag.value} cannot be written; name a '
        f'{"folder" if folder else "file"} in a folder that exists')
  return path
