"""Formats figures as tables of aligned text."""

from collections.abc import Mapping, Sequence
from typing import Any

_HOW = (
    'Every figure is the median of {repeats} samples [min, max]; compilation and the '
    'first calls are left out.\n'
    'augmentation, loss and optimizer are timed as separate programs. forward is the '
    'value of the loss\nminus the objective; backward is its gradient minus '
    'forward and loss. input wait is the\nstep with its feed minus the step on inputs '
    'that are already on the devices. other is the rest of\nthe step (online probe, '
    'selection of the batch); it is negative if XLA merges parts.')


_KERNELS = (
    'A kernel is predicted to take the longer of bytes / bandwidth and FLOPs / peak, '
    'and {launch:g} us for its launch.\nA small kernel touches less than {small}. '
    '{copies} kernels only copy an array. Communication over links is\nnot part of '
    'these times.')


def measured(result: Mapping[str, Any]) -> str:
  """Formats the result of `measure.run`."""
  r = result
  rows = [
      ('hardware', r['hardware']),
      ('program', f'{r["batch_size"]} images, {r["views_per_image"]:g} views each, '
                  f'{r["compute_dtype"]}, {r["feed"]}, '
                  f'{r["steps_per_dispatch"]} steps per dispatch'),
      ('images/s', _spread(r['images_per_second'], '{:,.4g}')),
      ('views/s', _spread(r['views_per_second'], '{:,.4g}')),
      ('model FLOPs', f'{r["train_flops_per_image"] / 1e9:.4g} GFLOP per image')]
  if 'mfu' in r:
    d = r['device']
    rows += [
        ('MFU', f'{r["mfu"]:.1%} of {d["flops_per_second"] / 1e12:.4g} TFLOP/s '
                f'({d["name"]})'),
        ('roofline', f'{r["roofline_fraction"]:.1%} of '
                     f'{r["roofline_images_per_second"]:,.4g} images/s '
                     f'({d["bytes_per_second"] / 1e9:.4g} GB/s)')]
  if r['peak_memory_bytes'] is not None:
    rows.append(('peak memory', f'{_size(r["peak_memory_bytes"])} per device, by the '
                                f'{r["peak_memory_source"]}'))
  rows += [('compilation', f'{r["compile_seconds"]:.3g} s'),
           ('first step', f'{r["first_step_seconds"]:.3g} s after data are ready')]
  step = r['step_seconds']
  split = [('part', 'ms per step', 'fraction'), ('step', _milliseconds(step), '100%')]
  split += [(f'  {name}', _milliseconds(part), f'{part["median"] / step["median"]:.0%}')
            for name, part in r['split_seconds'].items()]
  return '\n\n'.join([aligned(rows), aligned(split), _HOW.format(**r)])


def compiled(result: Mapping[str, Any]) -> str:
  """Formats the result of `ahead_of_time.run`."""
  r, memory = result, result['memory_bytes']
  rows = [
      ('topology', f'{r["topology"]}: {r["chips"]} x {r["device"]}, not executed'),
      ('batch', f'{r["batch_size"]} images, {r["images_per_chip"]} per chip, '
                f'{r["views_per_image"]:g} views each'),
      ('compilation', f'{r["compile_seconds"]:.3g} s ({r["compiler"]})'),
      ('memory per chip', f'{_size(memory["in all"])} of {_size(memory["of the chip"])}'
       f' ({memory["in all"] / memory["of the chip"]:.0%})'
       + ('' if memory['in all'] <= memory['of the chip'] else ': DOES NOT FIT')),
      ('', ', '.join(f'{label} {_size(memory[name])}' for name, label in (
          ('arguments', 'arguments'), ('outputs', 'outputs'),
          ('of them shared', 'shared by both'), ('temporary', 'temporary')))),
      ('', f'and {_size(r["resident_data_bytes"])} if the data set is resident'
       if r['resident_data_bytes'] < memory['of the chip'] else 'data are streamed'),
      ('kernels count' if 'kernels' in r else 'compiler counts',
       f'{r["flops"] / 1e9:,.4g} GFLOP and {_size(r["bytes_accessed"])} per chip and '
       f'step: {1e3 * r["compiler_seconds"]:.4g} ms'),
      ('network needs',
       f'{r["train_flops_per_image"] * r["images_per_chip"] / 1e9:,.4g} GFLOP'),
      ('predicted step',
       f'{1e3 * r["compute_seconds"]:.4g} ms of computation (roofline), '
       f'{1e3 * r["communication_seconds"]:.4g} ms of communication, without '
       'overlap')]
  sent = [('collective', 'count', 'bytes of one', 'result on each chip')]
  sent += [(c['op'], str(c['count']), _size(c['bytes']), c['arrays'])
           for c in r['collectives']]
  scaling = [('chips', 'computation', 'communication', 'speed per chip')]
  scaling += [(str(s['chips']), f'{1e3 * s["compute_seconds"]:.4g} ms',
               f'{1e3 * s["communication_seconds"]:.4g} ms', f'{s["efficiency"]:.1%}')
              for s in r['weak_scaling']]
  parts = [aligned(rows), *(_kernels(r['kernels']) if 'kernels' in r else ())]
  if r['chips'] > 1:
    parts += [aligned(sent), f'Predicted, {r["images_per_chip"]} images per chip:\n'
              + aligned(scaling)]
  return '\n\n'.join(parts)


def _kernels(found: Mapping[str, Any]) -> list[str]:
  """Formats the result of `gpu_program.summary`."""
  rows = [('part of the step', 'kernels', 'small', 'bytes', 'GFLOP', 'predicted')]
  for part in (*found['parts'], {**found, 'part': 'all'}):
    rows.append((part['part'], str(part['kernels']), str(part['small_kernels']),
                 _size(part['bytes']), f'{part["flops"] / 1e9:,.4g}',
                 f'{1e3 * part["seconds"]:.4g} ms'))
  convolutions = [('convolution', 'count', 'dtypes', 'layouts')]
  convolutions += [(c['kind'], str(c['count']), c['dtypes'], c['layouts'])
                   for c in found['convolutions']]
  copied = [('transposed or copied activation', 'count', 'part of the step')]
  copied += [(a['array'], str(a['count']), a['part'])
             for a in found['rearranged_activations']]
  return [aligned(rows), _KERNELS.format(
      launch=1e6 * found['launch_seconds'], small=_size(found['small_bytes']),
      copies=found['copies']['kernels']),
      aligned(convolutions), aligned(copied)]


def aligned(rows: Sequence[Sequence[str]]) -> str:
  """Formats cells in columns two spaces apart, each as wide as its longest cell."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join('  '.join(cell.ljust(width) for cell, width in
                             zip(row, widths, strict=True)).rstrip() for row in rows)


def _spread(values: Mapping[str, float], form: str) -> str:
  median, low, high = (form.format(values[k]) for k in ('median', 'min', 'max'))
  return f'{median} [{low}, {high}]'


def _milliseconds(seconds: Mapping[str, float]) -> str:
  if 'min' not in seconds:
    return f'{1e3 * seconds["median"]:.4g}'
  return _spread({k: 1e3 * v for k, v in seconds.items()}, '{:.4g}')


def _size(n: float) -> str:
  for unit, size in (('GiB', 2**30), ('MiB', 2**20), ('KiB', 2**10)):
    if n >= size:
      return f'{n / size:,.4g} {unit}'
  return f'{n:.0f} B'
