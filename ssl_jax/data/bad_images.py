"""Records the images of a source that do not decode, with or without a limit."""

from absl import logging

from ssl_jax import errors


class BadImages:
  """Counts the images of a source that do not decode, and limits their number.

  Args:
    source: Name of the source in messages.
    limit: Largest number of such images.
  """

  def __init__(self, source: str, limit: int):
    self.source, self.limit = source, limit
    self.names: set[str] = set()

  def add(self, name: str, reason: Exception) -> None:
    """Records and logs one image; does nothing if it was recorded before.

    Args:
      name: Name of the image.
      reason: Why it does not decode.

    Raises:
      errors.UserError: The number of such images now exceeds the limit.
    """
    if name in self.names:
      return
    self.names.add(name)
    logging.warning('Skipping bad image %d of at most %d in %s: %s %s',
                    len(self.names), self.limit, self.source, name, reason)
    if len(self.names) > self.limit:
      raise errors.UserError(
          f'{self.source} has more bad images than config.data.max_bad_images, '
          f'which is {self.limit} (the last one, {name}, {reason}); repair or '
          'remove them, or raise the limit')


class Reasons(BadImages):
  """Collects the images that do not decode and why, without a limit."""

  def __init__(self, source: str):
    super().__init__(source, 0)
    self.reasons: dict[str, str] = {}

  def add(self, name: str, reason: Exception) -> None:
    self.reasons[name] = str(reason)
