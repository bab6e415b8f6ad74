r"""Measures how many images a second one core decodes for the streamed feed.

  python -m benchmarks.host_decode --output=host_decode.json
  python -m benchmarks.host_decode --folder=/data/imagenet/train --sides 384 512

Without --folder, random JPEGs are written whose sizes, shapes and bytes are about those
of ILSVRC 2012. Each case processes them as training does (`data.streamed`: read,
decode, shrink, batch, copy to the device, here a CPU). The cases are a canvas of each
side in --sides, and the 256 px square that is cut without a canvas. Samples of
the cases alternate.

The speed of a core is the number of images per second of CPU time over all threads. The
roofline of ResNet-50 at 224 px with two views of an image (`ssl_jax.performance`) is an
upper bound of the images that a device needs. Their ratio is an upper bound of the
number of cores that keep a device busy.
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
from ssl_jax.performance import hardware, network, timing

SQUARE = 256
BATCH = 64
# Width, height and fraction of the images; most images of ILSVRC have a longer side of
# 500 pixels.
SHAPES = ((500, 375, .5), (375, 500, .2), (500, 333, .12), (500, 500, .08),
          (300, 225, .06), (1024, 768, .03), (2048, 1536, .01))
HOSTS = {'H200': ('NVIDIA H200', 1), 'v5e host of 8 chips': ('TPU v5 lite', 8)}


def photo(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
  """Draws an image of smooth structures and noise, of about the bytes of a photo.

  Args:
    size: width and height in pixels.
    rng: source of random numbers.
  """
  width, height = size
  pixels = np.zeros((height, width, 3), np.float32)
  for cells, strength in ((3, 60), (12, 25), (60, 12)):
    noise = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    layer = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    pixels += (np.asarray(layer, np.float32) - 128) * (strength / 74)
  pixels += 11 * rng.standard_normal((height, width, 1), np.float32)  # grey
  return Image.fromarray(np.clip(128 + pixels, 0, 255).astype(np.uint8))


def draw(folder: pathlib.Path, count: int) -> None:
  """Writes `count` random JPEGs of quality 90 to folder/train."""
  rng = np.random.default_rng(0)
  shares = np.array([share for *_, share in SHAPES])
  shapes = rng.choice(len(SHAPES), count, p=shares / shares.sum())
  (folder / 'train').mkdir()
  for i, shape in enumerate(shapes):
    photo(SHAPES[shape][:2], rng).save(folder / 'train' / f'{i}.JPEG', quality=90)


class Case:
  """Measures the speed of one streamed feed.

  Args:
    root: folder of the images.
    side: side of the canvas or of the square in pixels.
    canvas: whether images are placed on a canvas instead of cut to a square.
    threads: number of threads that decode.
  """

  def __init__(self, root: str, side: int, canvas: bool, threads: int):
    self.name = f'canvas of {side}' if canvas else f'square of {side}'
    self.threads = threads
    source = datasets.load(f'folder:{root}', image_size=side, canvas=canvas,
                          validation_fraction=0)
    self._begun, self._read = [], []  # sizes of batches that were begun, and read
    source.read = self._counted(source.read)
    self._feed = streamed.StreamedFeed(
        source, BATCH, 0, mesh_lib.data_mesh(jax.devices()[:1]),
        streamed.LoaderConfig(threads))
    self._step = 0

  def sample(self, steps: int) -> dict[str, float]:
    """Returns images per second of wall time and of CPU time, after workers started."""
    self._take(1)  # starts the workers
    before = time.perf_counter(), time.process_time(), sum(self._read)
    self._take(steps)
    clock, cpu, images = (y - x for x, y in zip(before, (
        time.perf_counter(), time.process_time(), sum(self._read)), strict=True))
    self._feed.close()
    while len(self._begun) > len(self._read):  # the next case should run alone
      time.sleep(0.05)
    return {'per_second': images / clock, 'per_cpu_second': images / cpu}

  def _counted(self, read: Callable[[np.ndarray], sources.Examples]
               ) -> Callable[[np.ndarray], sources.Examples]:
    """Wraps a `read` so that it records when a batch is begun and when it is read.

    `sample` counts the batches that were read. One that was begun before the clock
    started counts in full, and one that is not read when it stops does not count.
    """
    def counted(indices):
      self._begun.append(len(indices))
      examples = read(indices)
      self._read.append(len(indices))
      return examples
    return counted

  def _take(self, steps: int) -> None:
    for _ in range(steps):
      jax.block_until_ready(self._feed.inputs(self._step))
      self._step += 1


def measure(cases: list[Case], repeats: int, steps: int) -> list[dict[str, Any]]:
  """Measures all cases in alternation.

  Args:
    cases: cases to measure.
    repeats: number of samples of each case.
    steps: number of batches of a sample.

  Returns:
    The images per second of each case, as median and range.
  """
  samples = {case: [] for case in cases}
  for _ in range(repeats):
    for case in cases:
      samples[case].append(case.sample(steps))
  return [{'case': case.name, 'threads': case.threads,
           **{k: timing.summary([s[k] for s in found]) for k in found[0]}}
          for case, found in samples.items()]


def wanted() -> dict[str, float]:
  """Returns the images per second of each host's devices at the roofline."""
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
  """Gives `folder`, or a temporary folder with `count` random images if it is None."""
  if folder:
    yield folder
    return
  with tempfile.TemporaryDirectory() as made:
    draw(pathlib.Path(made), count)
    yield made


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--folder', help='folder of images, see data.folder; without '
                      'it random images are written to a temporary folder')
  parser.add_argument('--count', type=int, default=400,
                      help='number of random images')
  parser.add_argument('--sides', type=int, nargs='+', default=[256, 384, 512],
                      help='sides of canvases in pixels')
  parser.add_argument('--threads', type=int, nargs='+', default=[1, 2],
                      help='numbers of threads that decode')
  parser.add_argument('--repeats', type=int, default=7, help='samples of a case')
  parser.add_argument('--steps', type=int, default=8,
                      help=f'batches of a sample, of {BATCH} images each')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file of the result')
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
