"""Runs a binary: parses flags, joins the cluster, fails in one sentence.

Exit status: 0 done; 2 a user's mistake, told in one sentence; 75 stopped by SIGTERM or
Ctrl-C with the state saved (run the same command again); 143 or 130 stopped by them
where there was nothing to save.
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
# Seconds that a process which failed waits at exit for the others. Those that failed
# with it come at once; one that waits for it in a collective must see it gone.
_LEAVE_AFTER = 30
_DISTRIBUTED = flags.DEFINE_bool(
    'distributed', False, 'Join the other hosts of a TPU pod or a Slurm job. Not '
    'needed where JAX_COORDINATOR_ADDRESS is set.')
_JOIN_TIMEOUT = flags.DEFINE_integer(
    'join_timeout', 300, 'Seconds to wait for the other processes of a multi-host run.',
    lower_bound=1)


def run(main: Callable[[], None], config: config_file.ConfigFlag | None = None) -> None:
  """Runs `main()` after parsing flags; turns `UserError` into one sentence.

  Args:
    main: the work.
    config: the flag --config, where the binary has one; `main` reads it by
      `cli.config`.
  """
  app.run(lambda argv: _guarded(main, argv),
          flags_parser=lambda argv: _parse(argv, config))


def _guarded(main: Callable[[], None], argv: Sequence[str]) -> None:
  logging.set_verbosity(logging.INFO)
  handler = logging.get_absl_handler()
  handler.setFormatter(None)
  handler.addFilter(own_log.ours_or_serious)
  preemption.watch()
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
  """Parses flags; what they say of a wrong one is cut down to its sentence."""
  # Configs import each other as `configs.x`, wherever the binary is started.
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
  """At exit JAX waits up to five minutes for the other processes; here less."""
  if os.environ.get('JAX_COORDINATOR_ADDRESS') or _DISTRIBUTED.value:
    _leave_after(_LEAVE_AFTER, status)


def _leave_after(seconds: float, status: int, say: Callable[[], str] = str
                 ) -> threading.Timer:
  """Ends the process then, whatever it is waiting for, unless cancelled before."""
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
  """Sets the compilation cache in the user's cache folder, and joins the cluster.

  Binaries that compute call it before the first device is used. If the other
  processes do not join in time, a sentence says so and the status is 2.
  """
  import jax  # Not at the top: `make_report` runs where jax is not installed.

  from ssl_jax.parallel import processes

  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    home = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(home) / 'ssl_jax'))
  seconds = _JOIN_TIMEOUT.value
  # JAX would abort with the stack of its C++, which no `except` can catch.
  timer = _leave_after(seconds, USER_ERROR, lambda: _nobody_came(seconds))
  try:
    processes.join_cluster(_DISTRIBUTED.value, timeout=seconds + 60)
  finally:
    timer.cancel()


def _nobody_came(seconds: int) -> str:
  """Why a process is still alone."""
  address = os.environ.get('JAX_COORDINATOR_ADDRESS', '')
  waited = f'after --join_timeout={seconds} seconds'
  if not address:
    return (f'error: the other processes are not there {waited}; start this command on '
            'every host, or leave --distributed out')
  process = f'process {os.environ["JAX_PROCESS_ID"]}'
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host.strip('[]'), int(port)), timeout=2).close()
  except OSError as e:
    return (f'error: {process} does not reach process 0 at JAX_COORDINATOR_ADDRESS='
            f'{address} {waited} ({e.strerror}); check the address, the port, and that '
            'process 0 runs')
  return (f'error: {process} reaches {address}, but some of the '
          f'{os.environ["JAX_NUM_PROCESSES"]} processes are missing {waited}; start '
          'all, each with its own JAX_PROCESS_ID')


def config(flag: config_file.ConfigFlag) -> dict[str, Any]:
  """The config that --config and its overrides describe, as plain dicts.

  With several processes, also checks that all have the same one, and the same code.

  Raises:
    errors.UserError: the file is not there or fails, a field is not accepted, or
      processes disagree.
  """
  from ssl_jax.parallel import processes, provenance  # They import JAX.
  with processes.fail_together():
    fields = flag.read()
  processes.assert_equal_across_processes(
      {'config': fields, **provenance.versions()},
      'give all processes the same command, code and libraries')
  return fields


def require(flag: flags.FlagHolder, example: str) -> str:
  """The value of a flag that has no default.

  Raises:
    errors.UserError: it was not given; the sentence shows an example.
  """
  if not flag.value:
    raise errors.UserError(
        f'--{flag.name} is missing, for example --{flag.name}={example}')
  return flag.value


def output_file(flag: flags.FlagHolder) -> pathlib.Path | None:
  """Returns the absolute path of a file to be written, None where the flag is unset.

  Raises:
    errors.UserError: its folder does not exist, which is better found before the work.
  """
  if not flag.value:
    return None
  path = pathlib.Path(flag.value).absolute()
  if not path.parent.is_dir() or path.is_dir():
    raise errors.UserError(
        f'--{flag.name}={flag.value} cannot be written; name a file in a folder that '
        'exists')
  return path
