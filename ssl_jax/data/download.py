"""Downloads that survive being interrupted, and checksums."""

import hashlib
import os
import pathlib
import urllib.error
import urllib.request

from absl import logging

from ssl_jax import errors

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60


def fetch(url: str, path: pathlib.Path, md5: str) -> pathlib.Path:
  """Downloads `url` to `path`, once.

  Bytes collect in `path` + '.part', where the next attempt continues; the file
  gets its name only when its checksum is right.

  Raises:
    errors.UserError: No connection, or a wrong checksum (the bytes are removed).
  """
  if path.exists():
    verify(path, md5)
    return path
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(path.name + '.part')
  try:
    _continue(url, part)
  except OSError as e:  # URLError and time-outs are OSErrors
    raise errors.UserError(
        f'cannot download {url} ({e}); run again to continue, or fetch it by other '
        'means and give its path with --archive') from e
  try:
    verify(part, md5)
  except errors.UserError:
    part.unlink()
    raise
  os.replace(part, path)
  return path


def verify(path: pathlib.Path, md5: str) -> None:
  """Raises `errors.UserError` where a file is missing or has another checksum."""
  if not path.is_file():
    raise errors.UserError(f'archive {path} does not exist; give the path of a file')
  with path.open('rb') as f:
    found = hashlib.file_digest(f, 'md5').hexdigest()
  if found != md5:
    raise errors.UserError(f'{path} is damaged or another file: its MD5 is {found}, '
                           f'not {md5}; remove it and get it again')


def _continue(url: str, part: pathlib.Path) -> None:
  """Appends what `part` lacks; starts over where the server cannot resume."""
  have = part.stat().st_size if part.exists() else 0
  request = urllib.request.Request(url)
  if have:
    request.add_header('Range', f'bytes={have}-')
  try:
    response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
  except urllib.error.HTTPError as e:
    if e.code == 416:  # nothing is left to ask for: the checksum will tell
      return
    raise
  with response, part.open('ab' if response.status == 206 else 'wb') as f:
    logging.info('Downloading %s from byte %d', url, f.tell())
    while chunk := response.read(_CHUNK):
      f.write(chunk)
    expected = response.length  # what a connection that broke still owes
  if expected:
    raise OSError(f'the connection broke with {expected} bytes to go')
