"""Sums a profiler's trace by kind of kernel, by kernel, and over the gaps."""

import collections
import pathlib
from typing import Any

import jax

# Words in the names of XLA:GPU's convolutions, of all libraries and fusions.
_CONVOLUTIONS = ('conv', 'cudnn', 'xmma', 'implicit_gemm', 'fprop', 'dgrad', 'wgrad')


def newest(folder: pathlib.Path) -> pathlib.Path:
  """Returns the trace in a folder that was written last."""
  return max(folder.rglob('*.xplane.pb'), key=lambda path: path.stat().st_mtime)


def kernels(path: pathlib.Path, most: int = 60) -> dict[str, Any]:
  """Sums the seconds of kernels on the first GPU, or of operations on the host.

  Args:
    path: an .xplane.pb file of the JAX profiler.
    most: number of kernels to list, those with most seconds.

  Returns:
    'busy_seconds', in which a kernel ran; 'idle_seconds', the gaps between the first
    and the last kernel; 'by_kind', the seconds of each kind; and 'kernels', a list with
    name, operation, seconds and count.
  """
  data = jax.profiler.ProfileData.from_file(str(path))
  planes = {plane.name: plane for plane in data.planes}
  on_gpu = sorted(name for name in planes if name.startswith('/device:GPU'))
  plane = planes[on_gpu[0] if on_gpu else '/host:CPU']
  seconds, count, spans = collections.Counter(), collections.Counter(), []
  for line in plane.lines:
    if on_gpu and not line.name.startswith('Stream'):
      continue  # these lines repeat the kernels, by module and by operation
    for event in line.events:
      operation = dict(event.stats).get('hlo_op')
      if operation is None and not on_gpu:
        continue  # work of the host between operations
      key = event.name, str(operation)
      seconds[key] += event.duration_ns / 1e9
      count[key] += 1
      spans.append((event.start_ns, event.start_ns + event.duration_ns))
  busy, whole = covered(spans)
  kinds = collections.Counter()
  for key, spent in seconds.items():
    kinds[_kind(*key)] += spent
  return {'plane': plane.name, 'busy_seconds': busy, 'idle_seconds': whole - busy,
          'by_kind': dict(kinds.most_common()),
          'kernels': [{'name': k[0][:160], 'operation': k[1], 'seconds': s,
                       'count': count[k]} for k, s in seconds.most_common(most)]}


def _kind(name: str, operation: str) -> str:
  both = f'{name} {operation}'.lower()
  if 'memcpy' in both or 'memset' in both:
    return 'copies'
  if any(word in both for word in _CONVOLUTIONS):
    return 'convolutions'
  if 'gemm' in both or 'dot' in both or 'cublas' in both:
    return 'matrix products'
  return 'fusions' if 'fusion' in both else 'other'


def covered(spans: list[tuple[float, float]]) -> tuple[float, float]:
  """Returns the seconds that spans cover, and those from first start to last end.

  Args:
    spans: starts and ends in nanoseconds.
  """
  covered, end = 0.0, float('-inf')
  for start, stop in sorted(spans):
    covered += max(0.0, stop - max(start, end))
    end = max(end, stop)
  first = min((start for start, _ in spans), default=0.0)
  return covered / 1e9, max(0.0, end - first) / 1e9 if spans else 0.0
