"""Tests that sums on the CPU are correct, and that a user's XLA_FLAGS are kept."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from ssl_jax.parallel import xla_flags

ROOT = pathlib.Path(__file__).parent.parent
PRINT_FLAGS = 'import os; print(os.environ.get("XLA_FLAGS"))'
# The reproducer of https://github.com/jax-ml/jax/issues/39103. All its values are
# squares of integers, and each sum has one term, so the only rounding is that of the
# square: NumPy's answer is exact to the bit.
SUMS = """
import jax, numpy as np
rows = np.zeros((32769, 3), np.float32)
rows[:, 0] = np.arange(32769)
sums = jax.vmap(lambda row: jax.numpy.sum((jax.numpy.eye(3) @ row) ** 2))
np.testing.assert_array_equal(jax.jit(sums)(rows), rows[:, 0] ** 2)
"""


def run_python(code: str, path: pathlib.Path | None = None, **variables: str
               ) -> subprocess.CompletedProcess:
  """Runs `code` with a user's environment: without what conftest.py has set."""
  environment = {name: value for name, value in os.environ.items()
                 if name != 'XLA_FLAGS' and not name.startswith('JAX_')}
  folders = [str(path or ROOT), str(ROOT)]
  return subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True,
      env=environment | {'PYTHONPATH': os.pathsep.join(folders)} | variables)


def flags_after(code: str, *args, **variables: str) -> str:
  return run_python(f'{code}; {PRINT_FLAGS}', *args, **variables).stdout.strip()


@pytest.fixture
def affected(tmp_path):
  """Makes a folder that, on PYTHONPATH, passes jaxlib off as an affected version."""
  return claim_jaxlib(tmp_path, xla_flags.AFFECTED[0])


def claim_jaxlib(folder: pathlib.Path, version: str) -> pathlib.Path:
  metadata = folder / f'jaxlib-{version}.dist-info'
  metadata.mkdir()
  (metadata / 'METADATA').write_text(
      f'Metadata-Version: 2.1\nName: jaxlib\nVersion: {version}\n')
  return folder


@pytest.mark.parametrize('imports', [
    'import ssl_jax',
    'import jax, jax.numpy; from ssl_jax.objectives import contrastive'])
def test_sums_are_right(imports):
  run_python(f'{imports}\n{SUMS}', JAX_PLATFORMS='cpu')


@pytest.mark.parametrize('module', ['ssl_jax', 'ssl_jax.errors', 'ssl_jax.config'])
def test_an_affected_version_gets_the_flag(affected, module):
  assert flags_after(f'import {module}', affected,
                     JAX_PLATFORMS='cpu') == xla_flags.CURE


def test_other_flags_are_kept(affected, tmp_path):
  given = '--xla_cpu_multi_thread_eigen=true'
  assert flags_after('import ssl_jax', affected, JAX_PLATFORMS='cpu',
                     XLA_FLAGS=given) == f'{xla_flags.CURE} {given}'
  (tmp_path / 'flags').write_text(given)  # XLA accepts a file's name too
  assert flags_after('import ssl_jax', affected, JAX_PLATFORMS='cpu',
                     XLA_FLAGS=str(tmp_path / 'flags')) == f'{xla_flags.CURE} {given}'


@pytest.mark.parametrize('value', ['', '-dot', 'reduce'])
def test_the_users_own_setting_is_kept(affected, tmp_path, value):
  own = f'--xla_dump_max_hlo_modules=1 --{xla_flags.FLAG}={value}'
  assert flags_after('import ssl_jax', affected, JAX_PLATFORMS='cpu',
                     XLA_FLAGS=own) == own
  (tmp_path / 'flags').write_text(own)
  for name in (str(tmp_path / 'flags'), '/no/such/file'):
    assert flags_after('import ssl_jax', affected, JAX_PLATFORMS='cpu',
                       XLA_FLAGS=name) == name


@pytest.mark.parametrize('version', ['0.10.1', '0.11.0', '0.12.0.1'])
def test_other_versions_are_left_alone(tmp_path, version):
  folder = claim_jaxlib(tmp_path, version)
  assert flags_after('import ssl_jax', folder, JAX_PLATFORMS='cpu') == 'None'


@pytest.mark.parametrize('platforms', ['cuda', 'tpu', 'cuda,cpu', 'proxy'])
def test_other_backends_are_left_alone(affected, platforms):
  assert flags_after('import ssl_jax', affected, JAX_PLATFORMS=platforms) == 'None'


def test_the_config_of_jax_counts_once_jax_is_imported(affected):
  code = ('import jax; jax.config.update("jax_platforms", "{}"); import ssl_jax')
  assert flags_after(code.format('cpu'), affected,
                     JAX_PLATFORMS='cuda') == xla_flags.CURE
  assert flags_after(code.format('cuda'), affected, JAX_PLATFORMS='cpu') == 'None'


@pytest.mark.parametrize('plugin, devices', [
    ('xla_cuda13', 'cuda'), ('xla_rocm7', 'rocm'), ('libtpu', 'tpu')])
def test_an_accelerator_is_a_plugin_and_a_device(
    tmp_path, monkeypatch, plugin, devices):
  if any(map(importlib.util.find_spec, ('jax_plugins', 'libtpu'))):
    pytest.skip('this Python has JAX plugins of its own')
  monkeypatch.setattr(xla_flags, 'DEVICES', {devices: (str(tmp_path / 'device[0-9]'),)})
  (tmp_path / 'device0').touch()
  assert not xla_flags.accelerator_found()
  package = tmp_path / ('libtpu' if devices == 'tpu' else f'jax_plugins/{plugin}')
  package.mkdir(parents=True)
  (package / '__init__.py').touch()
  monkeypatch.syspath_prepend(tmp_path)
  assert xla_flags.accelerator_found()
  (tmp_path / 'device0').unlink()
  assert not xla_flags.accelerator_found()


def test_an_unknown_plugin_is_taken_for_an_accelerator(tmp_path, affected):
  (tmp_path / 'jax_plugins' / 'novel').mkdir(parents=True)
  (tmp_path / 'jax_plugins' / 'novel' / '__init__.py').touch()
  assert flags_after('import ssl_jax', affected) == 'None'
  assert flags_after('import ssl_jax', affected, JAX_PLATFORMS='cpu') == xla_flags.CURE


def test_too_late_is_one_warning(affected):
  started = 'import jax; jax.devices(); import ssl_jax'
  done = run_python(f'{started}; {PRINT_FLAGS}', affected, JAX_PLATFORMS='cpu')
  assert done.stdout.strip() == 'None'
  [warning] = [line for line in done.stderr.splitlines() if 'Warning' in line]
  assert warning.startswith('<string>:1: RuntimeWarning: jaxlib 0.10.2 computes some')
  assert f'XLA_FLAGS={xla_flags.CURE}' in warning
  in_time = run_python(started, affected, JAX_PLATFORMS='cpu', XLA_FLAGS=xla_flags.CURE)
  assert 'Warning' not in in_time.stderr


def test_importing_ssl_jax_needs_no_jax(affected):
  run_python('import sys; sys.modules["jax"] = sys.modules["jaxlib"] = None; '
             'import ssl_jax', affected)


def test_a_fall_back_to_the_cpu_is_one_warning(affected):
  """JAX may end on the CPU although its plugin and device promised an accelerator."""
  code = ('import os; os.environ["JAX_PLATFORMS"] = "cuda"; import ssl_jax; '
          'os.environ["JAX_PLATFORMS"] = "cpu"; from ssl_jax.parallel import mesh; '
          'mesh.data_mesh(); mesh.data_mesh()')
  done = run_python(code, affected)
  assert done.stderr.count('RuntimeWarning: jaxlib 0.10.2 computes') == 1
