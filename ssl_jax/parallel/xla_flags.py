"""Sets the XLA flag with which an affected jaxlib computes sums correctly on the CPU.

jaxlib 0.10.2 computes sums with YNNPACK, which returns wrong numbers for some shapes
(https://github.com/jax-ml/jax/issues/39103). jaxlib 0.10.0, 0.10.1 and 0.11.0 to
0.12.0.1 were tried and are correct. This module does not import JAX, because reports
are made without it.
"""

import glob
import importlib.metadata
import importlib.util
import os
import pathlib
import pkgutil
import sys
import warnings

AFFECTED = ('0.10.2',)
FLAG = 'xla_cpu_experimental_ynn_fusion_type'
CURE = f'--{FLAG}=-reduce'
# JAX prefers an accelerator to the CPU if both its plugin and one of these files exist.
DEVICES = {
    'cuda': ('/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'),
    'rocm': ('/dev/kfd', '/dev/dxg'),
    'tpu': ('/dev/accel[0-9]*', '/dev/vfio/[0-9]*'),
}


def keep_cpu_sums_right() -> None:
  """Adds `CURE` to XLA_FLAGS if an affected jaxlib will compute on the CPU.

  XLA reads the variable once, when JAX starts its first backend. If that has already
  happened, the function warns instead. It does not change the variable if the user has
  set the flag, or if JAX will compute on an accelerator, whose plugin may abort because
  of an unknown flag.
  """
  version = _jaxlib_version()
  if version not in AFFECTED:
    return
  flags = os.environ.get('XLA_FLAGS', '').strip()
  if flags and not flags.startswith('--'):  # XLA then reads flags from that file
    try:
      flags = pathlib.Path(flags).read_text()
    except OSError:
      return  # XLA stops the program and names the file.
  if FLAG in flags or not _computes_on_cpu():
    return
  if _backend_started():
    warnings.warn(
        f'jaxlib {version} computes some sums wrong on the CPU, and JAX was started '
        'before ssl_jax could prevent it: import ssl_jax before the first computation, '
        f'or set XLA_FLAGS={CURE}', RuntimeWarning, stacklevel=3)
  else:
    # XLA ignores everything after a word that is no flag, so the cure comes first.
    os.environ['XLA_FLAGS'] = f'{CURE} {flags}'.strip()


def accelerator_found() -> bool:
  """Returns whether JAX would choose an accelerator, from its plugins and devices."""
  plugins = {entry.name for entry in importlib.metadata.entry_points(
      group='jax_plugins')}
  if namespace := importlib.util.find_spec('jax_plugins'):
    folders = namespace.submodule_search_locations
    plugins |= {module.name for module in pkgutil.iter_modules(folders)}
  if importlib.util.find_spec('libtpu') or 'TPU_LIBRARY_PATH' in os.environ:
    plugins.add('tpu')
  return any(_has_device(plugin) for plugin in plugins)


def _has_device(plugin: str) -> bool:
  """Returns whether a device of `plugin` exists; True if its files are not known."""
  for name, patterns in DEVICES.items():
    if name in plugin:
      return any(glob.glob(pattern) for pattern in patterns)
  return True


def _jaxlib_version() -> str | None:
  try:
    return importlib.metadata.version('jaxlib').partition('+')[0]
  except importlib.metadata.PackageNotFoundError:
    return None


def _computes_on_cpu() -> bool:
  """Returns whether the CPU is, or will be, the backend that JAX computes on."""
  jax = sys.modules.get('jax')
  if _backend_started():
    return jax.default_backend() == 'cpu'
  # JAX reads the variable when it is imported; afterwards only its config matters.
  platforms = jax.config.jax_platforms if jax else os.environ.get('JAX_PLATFORMS')
  if platforms:
    return platforms.split(',')[0].strip() == 'cpu'
  return not accelerator_found()


def _backend_started() -> bool:
  # JAX has no public function for this. Only the versions in AFFECTED use this code.
  bridge = sys.modules.get('jax._src.xla_bridge')
  return bridge is not None and bridge.backends_are_initialized()
