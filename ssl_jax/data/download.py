"""Downloads files, continues interrupted downloads, and verifies checksums."""

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
  """Downloads a file, unless it exists.

  Bytes are written to `path` + '.part', where the next attempt continues. The file
  gets its name only after its checksum was verified.

  Args:
    url: Address of the file.
    path: Path to write.
    md5: The MD5 checksum of the file, in hexadecimal.

  Returns:
    `path`.

  Raises:
    errors.UserError: The download failed, or the checksum is wrong; the bytes are then
      removed.
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
  """Raises `errors.UserError` if a file is missing or has another MD5 checksum."""
  if not path.is_file():
    raise errors.UserError(f'archive {path} does not exist; give the path of a file')
  with path.open('rb') as f:
    found = hashlib.file_digest(f, 'md5').hexdigest()
  if found != md5:
    raise errors.UserError(f'{path} is damaged or another file: its MD5 is {found}, '
                           f'not {md5}; remove it and download it again')


def _continue(url: str, part: pathlib.Path) -> None:
  """Appends the missing bytes to `part`; starts again if the server cannot resume."""
  have = part.stat().st_size if part.exists() else 0
  request = urllib.request.Request(url)
  if have:
    request.add_header('Range', f'bytes={have}-')
  try:
    response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
  except urllib.error.HTTPError as e:
    if e.code == 416:  # no bytes are missing; the caller verifies the checksum
      return
    raise
  with response, part.open('ab' if response.status == 206 else 'wb') as f:
    logging.info('Downloading %s from byte %d', url, f.tell())
    while chunk := response.read(_CHUNK):
      f.write(chunk)
    missing = response.length
  if missing:
    raise OSError(f'the connection was lost and {missing} bytes are missing')
