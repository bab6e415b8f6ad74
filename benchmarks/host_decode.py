r"""Measures how many images a second one core decodes for the streamed feed.

  python -m benchmarks.host_decode --output=host_decode.json
  python -m benchmarks.host_decode --folder=/data/imagenet/train --sides 384 512

Without --folder, JPEGs are drawn whose sizes, shapes and bytes are about those of
ILSVRC 2012. They go the way of training (`data.streamed`: read, decode, shrink, batch,
copy to the device, here a CPU), onto a canvas of each side in --sides and into the
256 px square that is cut where there is no canvas. Cases alternate.

Images per second of CPU time, all threads counted, is what a core does. By it and the
roofline of ResNet-50 at 224 px (`ssl_jax.performance`; two views of an image), which no
program reaches, follows how many cores keep one device busy at most.
"""

import argparse
import contextlib
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks.harness import compare
from configs import simclr_imagenet
from ssl_jax import methods, plain_config
from ssl_jax.data import datasets, sources, streamed
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.performance import hardware, network

SQUARE = 256
BATCH = 64
# Width, height and their share; ILSVRC's longer side is mostly 500.
SHAPES = ((500, 375, .5), (375, 500, .2), (500, 333, .12), (500, 500, .08),
          (300, 225, .06), (1024, 768, .03), (2048, 1536, .01))
HOSTS = {'H200': ('NVIDIA H200', 1), 'v5e host of 8 chips': ('TPU v5 lite', 8)}


def photo(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
  """Smooth structure of several sizes, and grain: about as many bytes as a photo."""
  width, height = size
  pixels = np.zeros((height, width, 3), np.float32)
  for cells, strength in ((3, 60), (12, 25), (60, 12)):
    noise = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    layer = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    pixels += (np.asarray(layer, np.float32) - 128) * (strength / 74)
  pixels += 11 * rng.standard_normal((height, width, 1), np.float32)  # of brightness
  return Image.fromarray(np.clip(128 + pixels, 0, 255).astype(np.uint8))


def draw(folder: pathlib.Path, count: int) -> None:
  """Writes `count` JPEGs of quality 90 to folder/train."""
  rng = np.random.default_rng(0)
  shares = np.array([share for *_, share in SHAPES])
  shapes = rng.choice(len(SHAPES), count, p=shares / shares.sum())
  (folder / 'train').mkdir()
  for i, shape in enumerate(shapes):
    photo(SHAPES[shape][:2], rng).save(folder / 'train' / f'{i}.JPEG', quality=90)


class Case:
  """A feed of one kind, as far as it says how fast it is."""

  def __init__(self, root: str, side: int, canvas: bool, threads: int):
    self.name = f'canvas of {side}' if canvas else f'square of {side}'
    self.threads = threads
    source = datasets.load(f'folder:{root}', image_size=side, canvas=canvas,
                          validation_fraction=0)
    self._begun, self._read = [], []  # how many images, whenever some are
    source.read = self._counted(source.read)
    self._feed = streamed.StreamedFeed(
        source, BATCH, 0, mesh_lib.data_mesh(jax.devices()[:1]),
        streamed.LoaderConfig(threads))
    self._step = 0

  def sample(self, steps: int) -> dict[str, float]:
    """Images per second of the clock and of CPU time, workers running."""
    self._take(1)  # starts them
    before = time.perf_counter(), time.process_time(), sum(self._read)
    self._take(steps)
    clock, cpu, images = (y - x for x, y in zip(before, (
        time.perf_counter(), time.process_time(), sum(self._read)), strict=True))
    self._feed.close()
    while len(self._begun) > len(self._read):  # the next case should be alone
      time.sleep(0.05)
    return {'per_second': images / clock, 'per_cpu_second': images / cpu}

  def _counted(self, read: Callable[[np.ndarray], sources.Examples]
               ) -> Callable[[np.ndarray], sources.Examples]:
    """Skips batches that were partly decoded before the clock started."""
    def counted(indices):
      self._begun.append(len(indices))
      rows = read(indices)
      self._read.append(len(indices))
      return rows
    return counted

  def _take(self, steps: int) -> None:
    for _ in range(steps):
      jax.block_until_ready(self._feed.inputs(self._step))
      self._step += 1


def measure(cases: list[Case], repeats: int, steps: int) -> list[dict[str, Any]]:
  samples = {case: [] for case in cases}
  for _ in range(repeats):
    for case in cases:
      samples[case].append(case.sample(steps))
  return [{'case': case.name, 'threads': case.threads,
           **{k: compare.summary([s[k] for s in found]) for k in found[0]}}
          for case, found in samples.items()]


def wanted() -> dict[str, float]:
  """Images per second of each host's devices at the roofline of the step."""
  config = plain_config.plain(simclr_imagenet.get_config())
  config['train']['precision'] = 'bfloat16'
  method, size = methods.build(config, 1000), config['augment']['size']
  cost = network.cost(method, (size, size, 3))
  return {name: chips / cost.seconds(hardware.find(kind))
          for name, (kind, chips) in HOSTS.items()}


def table(result: dict[str, Any]) -> str:
  """Formats the result that `main` writes."""
  about = result['files']
  rows = [f'{about["count"]} files of {about["kilobytes"]:.0f} KB; '
          f'{result["hardware"]}, load {result["machine"]["load"]:.1f}; '
          f'commit {result["commit"]}',
          f'{"":16}{"threads":9}{"images/s":24}images per CPU second']
  for row in result['rates']:
    rows.append(f'{row["case"]:16}{row["threads"]:<9}'
                f'{compare.spread(row["per_second"], "{:.0f}"):24}'
                f'{compare.spread(row["per_cpu_second"], "{:.0f}")}')
  for name, host in result['cores'].items():
    cores = ', '.join(f'{n:.0f} ({case})' for case, n in host['cores'].items())
    rows.append(f'{name}: {host["images_per_second"]:,.0f} images/s at the roofline, '
                f'fed by {cores} cores')
  return '\n'.join(rows)


def cores(rates: list[dict[str, Any]], needed: dict[str, float]) -> dict[str, Any]:
  """Computes how many cores give the images per second that each host can use."""
  alone = {row['case']: row['per_cpu_second']['median'] for row in rates
           if row['threads'] == rates[0]['threads']}
  return {name: {'images_per_second': images,
                 'cores': {case: images / rate for case, rate in alone.items()}}
          for name, images in needed.items()}


@contextlib.contextmanager
def photos(folder: str | None, count: int) -> Iterator[str]:
  """The folder that was asked for, or one that is drawn and removed again."""
  if folder:
    yield folder
    return
  with tempfile.TemporaryDirectory() as made:
    draw(pathlib.Path(made), count)
    yield made


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--folder', help='of images, see data.folder; drawn if not given')
  parser.add_argument('--count', type=int, default=400, help='of drawn images')
  parser.add_argument('--sides', type=int, nargs='+', default=[256, 384, 512],
                      help='of canvases')
  parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument('--steps', type=int, default=8,
                      help=f'of a sample, {BATCH} images each')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  args = parser.parse_args()
  machine = compare.machine()
  if warning := compare.busy(machine):
    print(warning)
  with photos(args.folder, args.count) as root:
    files = [p.stat().st_size for p in pathlib.Path(root).rglob('*') if p.is_file()]
    kinds = [*((side, True) for side in args.sides), (SQUARE, False)]
    cases = [Case(root, *kind, threads) for threads in args.threads for kind in kinds]
    rates = measure(cases, args.repeats, args.steps)
  result = {
      **provenance.collect(), 'machine': machine, 'batch_size': BATCH,
      'files': {'count': len(files), 'kilobytes': sum(files) / len(files) / 1e3},
      'rates': rates, 'cores': cores(rates, wanted())}
  print(table(result))
  if args.output:
    args.output.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
