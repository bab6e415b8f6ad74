"""Shows the messages of this package, and of other libraries only the serious ones."""

import contextlib
import logging as std_logging
import pathlib
from collections.abc import Iterator

from absl import logging


def ours_or_serious(record: std_logging.LogRecord) -> bool:
  """Returns whether a message is from this package, or from WARNING up."""
  return (record.levelno >= std_logging.WARNING
          or pathlib.Path(__file__).parent in pathlib.Path(record.pathname).parents)


@contextlib.contextmanager
def visible() -> Iterator[None]:
  """Shows messages of this package from INFO up, as binaries do, within a context.

  They go to the handlers that the program has installed, or else to standard error.
  """
  logger, root = logging.get_absl_logger(), std_logging.getLogger()  # Orbax uses it.
  level, handlers = logger.level, [] if root.handlers else [std_logging.StreamHandler()]
  for handler in handlers:
    root.addHandler(handler)
  logger.addFilter(ours_or_serious)
  logger.setLevel(std_logging.INFO)
  try:
    yield
  finally:
    logger.setLevel(level)
    logger.removeFilter(ours_or_serious)
    for handler in handlers:
      root.removeHandler(handler)
