"""Records the commit, the hardware and the versions that produced a result."""

import hashlib
import os
import pathlib
import subprocess

import jax


def versions() -> dict[str, str]:
  """Returns the versions that must be equal on all processes: of JAX and of the code.

  'code' is a hash of all Python files of this package.
  """
  root, source = pathlib.Path(__file__).parents[1], hashlib.sha256()
  for path in sorted(root.rglob('*.py')):
    source.update(f'{path.relative_to(root)}\0'.encode() + path.read_bytes())
  return {'code': source.hexdigest()[:12], 'jax': jax.__version__}


def collect() -> dict[str, str]:
  """Returns the commit of the code, the hardware and the version of JAX."""
  device = jax.devices()[0]
  git = subprocess.run(['git', 'describe', '--always', '--dirty'], text=True,
                       cwd=pathlib.Path(__file__).parent, capture_output=True)
  hardware = (f'{os.cpu_count()} CPU cores' if device.platform == 'cpu'
              else f'{jax.device_count()} x {device.device_kind}')
  return {'commit': git.stdout.strip() or 'not a git checkout', 'hardware': hardware,
          'jax': jax.__version__}
