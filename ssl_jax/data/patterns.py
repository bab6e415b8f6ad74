"""Lists the files of a pattern such as `shard-{0000..0003}.tar` or `data/*.parquet`."""

import glob
import os
import pathlib
import re

from ssl_jax import errors

_RANGE = re.compile(r'\{(\d+)\.\.(\d+)\}')
_CHOICE = re.compile(r'\{([^{}]*,[^{}]*)\}')


def expand(pattern: str) -> list[str]:
  """Expands ranges `{0000..0003}` and choices `{a,b}`, as a shell does.

  A range counts up, and its numbers have as many digits as its first number.
  """
  if found := _RANGE.search(pattern):
    first, last = found.groups()
    texts = [f'{i:0{len(first)}}' for i in range(int(first), int(last) + 1)]
  elif found := _CHOICE.search(pattern):
    texts = found.group(1).split(',')
  else:
    return [pattern]
  made = [path for text in texts for path in
          expand(f'{pattern[:found.start()]}{text}{pattern[found.end():]}')]
  return list(dict.fromkeys(made))  # A range in a choice is expanded for each text.


def files(pattern: str, suffix: str, scheme: str) -> list[str]:
  """Lists the files of a pattern, in the order of its ranges and then by name.

  Args:
    pattern: A path, which may have ranges, choices, and the wildcards *, ? and **; or
      a folder, for all files with the suffix in it and below it.
    suffix: The suffix that every file must have, such as '.tar'.
    scheme: The beginning of the name of the data in messages, such as 'tar:'.

  Raises:
    errors.UserError: A part of the pattern matches no file, or a file has another
      suffix.
  """
  found = []
  for path in expand(os.path.expanduser(pattern)):
    if os.path.isdir(path):
      path = os.path.join(glob.escape(path), '**', f'*{suffix}')
    matches = [path] if os.path.isfile(path) else sorted(glob.glob(path,
                                                                   recursive=True))
    if not matches:
      raise errors.UserError(
          f'{scheme}{pattern}: {path} matches no file; give the path of a file that '
          f'ends in {suffix}, of a folder of such files, or a pattern such as '
          f'{scheme}shards/train-{{0000..0003}}{suffix}')
    found += matches
  if others := [path for path in found if pathlib.Path(path).suffix != suffix]:
    raise errors.UserError(f'{scheme}{pattern} matches {others[0]}, which does not end '
                           f'in {suffix}; give a pattern of such files alone')
  return list(dict.fromkeys(found))
