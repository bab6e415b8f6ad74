"""Notices about data, which a study opens dozens of times: each is logged once."""

import functools

from absl import logging


@functools.cache
def log_once(level: int, message: str) -> None:
  """Logs a message, once in the life of the process."""
  logging.log(level, '%s', message)
