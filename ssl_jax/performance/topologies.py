"""Describes TPU slices and GPUs that a program can be compiled for without them."""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import re

import jax
from jax.experimental import topologies

from ssl_jax import errors

GENERATIONS = ('v4', 'v5e', 'v5p', 'v6e')
_EXAMPLES = 'v4:4x4x4, v5e:2x4, v5e:16x16, v5p:2x2x2, v6e:8x8'
# libtpu would query the metadata server of a cloud host, which this host need not be.
# The accelerator type only prevents an error; the topology is given to the compiler.
_ENVIRONMENT = {'TPU_SKIP_MDS_QUERY': '1', 'TPU_WORKER_HOSTNAMES': 'localhost',
                'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
                'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}
_GPUS_PER_HOST = 8  # as in NVIDIA's DGX and HGX hosts
_PLUGINS = ('jax-cuda13-pjrt', 'jax-cuda12-pjrt')


@dataclasses.dataclass(frozen=True)
class Card:
  """Describes a GPU to XLA's compiler, which does not know GPUs by name.

  The values are from NVIDIA's data sheets and architecture white papers of A100, H100
  and H200, and from the CUDA programming guide (limits by compute capability).

  Attributes:
    kind: result of `jax.Device.device_kind` on such a GPU.
    compute_capability: (major, feature extension of XLA's protocol buffer).
    cores: number of streaming multiprocessors.
    fpus_per_core: number of float32 units of a multiprocessor.
    clock: clock rate in GHz.
    bandwidth: bandwidth of the memory in bytes/s, from the data sheet.
    memory: size of the memory in bytes.
    l2_cache: size of the L2 cache in bytes.
    shared_memory: shared memory of a multiprocessor in bytes; one block may use 1 KiB
      less.
  """
  kind: str
  compute_capability: tuple[int, str]
  cores: int
  fpus_per_core: int
  clock: float
  bandwidth: int
  memory: int
  l2_cache: int
  shared_memory: int

  @property
  def target_config(self) -> str:
    """The text of XLA's protocol buffer `GpuTargetConfigProto`."""
    major, extension = self.compute_capability
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {self.shared_memory}
  threads_per_core_limit: 2048
  core_count: {self.cores}
  fpus_per_core: {self.fpus_per_core}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {self.bandwidth}
  l2_cache_size: {self.l2_cache}
  clock_rate_ghz: {self.clock}
  device_memory_size: {self.memory}
  shared_memory_per_block_optin: {self.shared_memory - 1024}
  cuda_compute_capability {{ major: {major} feature_extension: {extension} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 13 }}
device_description_str: "{self.kind}"
"""


_HOPPER = functools.partial(
    Card, compute_capability=(9, 'ACCELERATED_FEATURES'), cores=132, fpus_per_core=128,
    clock=1.98, l2_cache=50 * 2**20, shared_memory=228 * 2**10)
CARDS = {
    'a100': Card('NVIDIA A100-SXM4-80GB', (8, 'NONE'), cores=108, fpus_per_core=64,
                 clock=1.41, bandwidth=2_039 * 10**9, memory=85_100_068_864,
                 l2_cache=40 * 2**20, shared_memory=164 * 2**10),
    'h100': _HOPPER('NVIDIA H100 80GB HBM3', bandwidth=3_352 * 10**9,
                    memory=84_929_347_584),
    'h200': _HOPPER('NVIDIA H200', bandwidth=4_800 * 10**9, memory=150_754_820_096),
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """Holds the devices of a TPU slice, or of a host with GPUs, to compile for.

  Attributes:
    platform: 'tpu' or 'cuda'.
    devices: the chips of the slice, or the GPUs of the host.
    compiler: package of the compiler, and its version.
  """
  platform: str
  devices: list[jax.Device]
  compiler: str


def describe(name: str) -> Topology:
  """Describes the chips of a slice such as 'v5e:16x16', or GPUs such as 'h100:8'.

  Set the option `jax_platforms` to 'cpu' before JAX starts its first backend. Otherwise
  JAX looks for a GPU, and fails without a driver.

  Raises:
    errors.UserError: the name is not known, or the compiler is not installed or too
      old.
  """
  kind, _, layout = name.partition(':')
  if kind in GENERATIONS and re.fullmatch(r'\d+(x\d+){1,2}', layout):
    return _slice(name)
  if kind in CARDS and re.fullmatch('[1-9]' if layout else '', layout) and int(
      layout or 1) <= _GPUS_PER_HOST:
    return _gpus(name, CARDS[kind], int(layout or 1))
  raise errors.UserError(
      f'--topology is {name!r}; give one of {", ".join(GENERATIONS)} and the layout '
      f'of its chips, for example {_EXAMPLES}, or one of {", ".join(CARDS)} and the '
      f'number of GPUs of one host, for example h100 or h100:{_GPUS_PER_HOST}')


def _slice(name: str) -> Topology:
  if importlib.util.find_spec('libtpu') is None:
    raise errors.UserError(
        f'--topology={name} needs the TPU compiler, which is not installed (a TPU is '
        "not needed); install it by pip install -e '.[tpu]'")
  for variable, value in _ENVIRONMENT.items():
    os.environ.setdefault(variable, value)
  options = {'chip_config_name': 'megacore'} if name.startswith('v4') else {}
  try:
    devices = topologies.get_topology_desc(
        platform='tpu', topology_name=name, **options).devices
  except jax.errors.JaxRuntimeError as e:
    raise errors.UserError(
        f'--topology is {name!r}, which the TPU compiler does not know '
        f'({str(e).splitlines()[0]}); examples are {_EXAMPLES}') from e
  return Topology('tpu', list(devices),
                  f'libtpu {importlib.metadata.version("libtpu")}')


def _gpus(name: str, card: Card, count: int) -> Topology:
  if not (compiler := gpu_compiler()):
    raise errors.UserError(
        f'--topology={name} needs the GPU compiler, which is not installed (a GPU and '
        "a driver are not needed); install it by pip install -e '.[cuda]'")
  try:
    devices = topologies.get_topology_desc(
        platform='cuda', target_config=card.target_config,
        topology=f'1x1x{count}').devices  # processes, hosts, GPUs
  except (NotImplementedError, TypeError, jax.errors.JaxRuntimeError) as e:
    raise errors.UserError(
        f'--topology={name} is refused by {compiler} ({str(e).splitlines()[0]}); JAX '
        "0.12.0.1 on Python 3.12 is known to accept it: pip install -U -e '.[cuda]' "
        'there') from e
  return Topology('cuda', list(devices), compiler)


def gpu_compiler() -> str:
  """Returns the package that compiles for GPUs and its version; '' if it is absent."""
  for package in _PLUGINS:
    try:
      return f'{package} {importlib.metadata.version(package)}'
    except importlib.metadata.PackageNotFoundError:
      continue
  return ''
