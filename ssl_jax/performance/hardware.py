"""Lists the peak speeds of devices, which measured speeds are compared with."""

import dataclasses
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Torus:
  """Describes the links between TPU chips.

  Attributes:
    dimensions: number of dimensions of the torus, 2 or 3.
    bandwidth: bytes/s that one chip sends over all of its links together.
    closed_from: number of chips of the smallest slice whose axes close into rings. In
      smaller slices the axes are lines, which can use half of the bandwidth.
  """
  dimensions: int
  bandwidth: float
  closed_from: int

  def route(self, chips: int) -> tuple[float, float]:
    """Returns the bytes/s that one chip sends, and the hops across the slice.

    The slice is assumed to be a square or a cube.
    """
    closed = chips >= self.closed_from
    side = chips ** (1 / self.dimensions)
    hops = self.dimensions * (side / 2 if closed else side - 1)
    return (self.bandwidth if closed else self.bandwidth / 2), hops


@dataclasses.dataclass(frozen=True)
class Switch:
  """Describes the links between the GPUs of a host: one switch connects all of them.

  Attributes:
    bandwidth: bytes/s that one GPU sends over all of its links together.
  """
  bandwidth: float

  def route(self, chips: int) -> tuple[float, float]:
    """Returns the bytes/s that one GPU sends, and the hops to any other."""
    del chips
    return self.bandwidth, 1.0


@dataclasses.dataclass(frozen=True)
class Device:
  """Describes one chip.

  Attributes:
    name: name in tables.
    flops: peak of dense matrix products in FLOP/s; bfloat16, or float32 on a CPU.
    bandwidth: bandwidth of the memory in bytes/s.
    memory: size of the memory in bytes.
    links: links to the other chips of a slice or to the other GPUs of a host; None if
      unknown.
  """
  name: str
  flops: float
  bandwidth: float
  memory: int
  links: Torus | Switch | None = None


_GB, _GIB = 10**9, 2**30
# Data sheets: 900 GB/s (H100, H200) and 600 GB/s (A100) in both directions together.
_NVLINK_4, _NVLINK_3 = Switch(450e9), Switch(300e9)
# Keys are prefixes of `jax.Device.device_kind`; the longest that fits counts.
_TABLE = {
    # A bfloat16 product of 8192^3 reaches 790 of 989 TFLOP/s, and a copy of 8 GB 4.3 of
    # 4.8 TB/s; the other values are from NVIDIA's H200 data sheet.
    'NVIDIA H200': Device('H200', 790e12, 4.3e12, 141 * _GB, _NVLINK_4),
    # NVIDIA H100 SXM data sheet: 989 TFLOP/s, 3.35 TB/s. The die is that of the H200,
    # so that the same fractions of these are assumed.
    'NVIDIA H100': Device('H100', 790e12, 3.0e12, 80 * _GB, _NVLINK_4),
    # NVIDIA A100 data sheet: 312 TFLOP/s, 2.04 TB/s (1.56 with 40 GB). A program can
    # reach about 88 % of the bandwidth.
    'NVIDIA A100-SXM4-40GB': Device('A100 40GB', 312e12, 1.38e12, 40 * _GB,
                                    _NVLINK_3),
    'NVIDIA A100-PCIE-40GB': Device('A100 40GB', 312e12, 1.38e12, 40 * _GB),
    'NVIDIA A100': Device('A100', 312e12, 1.8e12, 80 * _GB, _NVLINK_3),
    # cloud.google.com/tpu/docs/v6e: 918 TFLOP/s, 32 GB, 1638 GB/s, links of 800
    # GB/s in both directions together.
    'TPU v6 lite': Device('TPU v6e', 918e12, 1.638e12, 32 * _GB,
                          Torus(2, 400e9, 256)),
    # cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB, 819 GB/s, links of 400 GB/s
    # in both directions together.
    'TPU v5 lite': Device('TPU v5e', 197e12, 0.819e12, 16 * _GB,
                          Torus(2, 200e9, 256)),
    # cloud.google.com/tpu/docs/v5p: 459 TFLOP/s, 95 GB, 2765 GB/s, links of 4800
    # Gbit/s.
    'TPU v5': Device('TPU v5p', 459e12, 2.765e12, 95 * _GB, Torus(3, 600e9, 64)),
    # cloud.google.com/tpu/docs/v4: 275 TFLOP/s, 32 GiB; Jouppi et al. 2023,
    # arXiv:2304.01433, table 4: 1228 GB/s, six links of 50 GB/s.
    'TPU v4': Device('TPU v4', 275e12, 1.228e12, 32 * _GIB, Torus(3, 300e9, 64)),
}
_TABLE['TPU v6e'] = _TABLE['TPU v6 lite']   # newer runtimes use these names
_TABLE['TPU v5e'] = _TABLE['TPU v5 lite']
_TABLE['TPU v5p'] = _TABLE['TPU v5']


def find(kind: str) -> Device | None:
  """Returns the device of a `jax.Device.device_kind`; None if it is unknown."""
  fits = [prefix for prefix in _TABLE if kind.startswith(prefix)]
  return _TABLE[max(fits, key=len)] if fits else None


def measure_cpu(memory: int, size: int = 2048, megabytes: int = 256) -> Device:
  """Measures the peak speeds of this host in a second or two.

  They are those of the fastest of a few float32 matrix products and of a few copies,
  because other programs on the host only make them slower.

  Args:
    memory: size of the host's memory in bytes.
    size: side of the square matrices.
    megabytes: megabytes of a copy, which reads and writes them once.
  """
  key = jax.random.key(0)
  matrix = jax.random.normal(key, (size, size))
  buffer = jax.random.normal(key, (megabytes * 10**6 // 4,))
  product = _best(jax.jit(lambda x: jnp.dot(x, x)), matrix)
  copy = _best(jax.jit(lambda x: -x), buffer)
  return Device('this CPU, measured', 2 * size**3 / product,
                2 * buffer.nbytes / copy, memory)


def _best(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> float:
  """Returns the seconds of the fastest of five calls."""
  function(x).block_until_ready()  # compiles
  seconds = []
  for _ in range(5):
    start = time.perf_counter()
    function(x).block_until_ready()
    seconds.append(time.perf_counter() - start)
  return min(seconds)
