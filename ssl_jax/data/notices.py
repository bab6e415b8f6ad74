"""Logs notices about data once, although a study opens the same data dozens of times.
"""

import functools

from absl import logging


@functools.cache
def log_once(level: int, message: str) -> None:
  """Logs a message; later calls with the same message do nothing.

  Args:
    level: A level of absl's logging, such as `logging.WARNING`.
    message: The message.
  """
  logging.log(level, '%s', message)
