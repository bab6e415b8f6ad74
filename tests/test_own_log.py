"""Tests which messages a context shows, and that it leaves no trace."""

import logging
import subprocess
import sys

from absl import logging as absl_logging

from ssl_jax import own_log


def record(path, level):
  return logging.LogRecord('absl', level, path, 1, 'text', (), None)


def test_messages_of_other_libraries_need_a_warning():
  own, other = own_log.__file__, '/usr/lib/python3/orbax/checkpoint.py'
  assert own_log.ours_or_serious(record(own, logging.INFO))
  assert own_log.ours_or_serious(record(other, logging.WARNING))
  assert not own_log.ours_or_serious(record(other, logging.INFO))


PROGRAM = """
import logging
from absl import logging as absl_logging
from ssl_jax import own_log
logger = absl_logging.get_absl_logger()
say = lambda: exec(compile('absl_logging.info("done")', own_log.__file__, 'exec'))
with own_log.visible():
  say()
  absl_logging.info('other')
assert logger.level == logging.NOTSET and not logging.getLogger().handlers
assert not logger.filters
say()
"""


def test_a_program_without_handlers_sees_our_messages_within_the_context():
  ran = subprocess.run([sys.executable, '-c', PROGRAM], check=True, text=True,
                       capture_output=True)
  assert ran.stderr == 'done\n' and not ran.stdout


def test_a_program_with_handlers_keeps_them(caplog):
  before = list(logging.getLogger().handlers)
  level = absl_logging.get_absl_logger().level
  say = compile('absl_logging.info("done")', own_log.__file__, 'exec')
  with own_log.visible():
    exec(say)
    assert logging.getLogger().handlers == before
  assert absl_logging.get_absl_logger().level == level
  assert 'done' in caplog.messages
