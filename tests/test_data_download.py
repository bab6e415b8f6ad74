"""Tests downloads from a local server: complete, resumed, interrupted, wrong."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import download

DATA = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def server():
  """Serves DATA; `breaks_at` drops the connection, `asked` lists Range headers."""
  class Handler(http.server.BaseHTTPRequestHandler):
    breaks_at, resumable, asked = None, True, []

    def do_GET(self):
      wanted = self.headers.get('Range')
      Handler.asked.append(wanted)
      start = int(wanted[6:-1]) if wanted and Handler.resumable else 0
      if start >= len(DATA):
        self.send_error(416)
        return
      self.send_response(206 if start else 200)
      self.send_header('Content-Length', str(len(DATA) - start))
      self.end_headers()
      self.wfile.write(DATA[start:Handler.breaks_at])

    def log_message(self, *args):
      pass

  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    Handler.url = f'http://127.0.0.1:{server.server_port}/x.tar.gz'
    yield Handler
    server.shutdown()


def test_download_once(server, tmp_path):
  path = tmp_path / 'deep' / 'x.tar.gz'
  for _ in range(2):
    assert download.fetch(server.url, path, MD5).read_bytes() == DATA
  assert server.asked == [None]
  assert [p.name for p in path.parent.iterdir()] == ['x.tar.gz']


@pytest.mark.parametrize('resumable', [True, False])
def test_a_broken_connection_is_continued_by_the_next_run(server, tmp_path, resumable):
  path = tmp_path / 'x.tar.gz'
  server.breaks_at, server.resumable = 100_000, resumable
  with pytest.raises(errors.UserError, match='run again to continue.*--archive'):
    download.fetch(server.url, path, MD5)
  assert not path.exists()
  server.breaks_at = None
  assert download.fetch(server.url, path, MD5).read_bytes() == DATA
  assert server.asked == [None, 'bytes=100000-']


def test_a_complete_part_is_only_verified(server, tmp_path):
  (tmp_path / 'x.tar.gz.part').write_bytes(DATA)
  assert download.fetch(server.url, tmp_path / 'x.tar.gz', MD5).read_bytes() == DATA


def test_wrong_bytes_are_removed(server, tmp_path):
  path = tmp_path / 'x.tar.gz'
  with pytest.raises(errors.UserError, match=f'MD5 is {MD5}, not 0000'):
    download.fetch(server.url, path, '0000')
  assert not list(tmp_path.iterdir())


def test_no_network(tmp_path):
  with pytest.raises(errors.UserError, match='cannot download.*--archive') as e:
    download.fetch('http://127.0.0.1:9/x', tmp_path / 'x', MD5)
  assert '\n' not in str(e.value)


def test_no_such_archive(tmp_path):
  with pytest.raises(errors.UserError, match='does not exist'):
    download.verify(tmp_path / 'x', MD5)
