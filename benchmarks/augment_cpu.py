r"""Compares the speed of two SimCLR views of a batch, by our jitted code and by PIL.

  python -m benchmarks.augment_cpu --batch_size=512 --rounds=7

Our code makes all views in one call. The peer makes them one by one, as the workers of
a data loader do: torchvision's recipe (random resized crop, flip, colour jitter, grey)
written with PIL, in as many processes as `--workers`. In a round each side is timed
once. The JSON has the views per second of both, and the median and range over rounds of
the ratio, PIL's time divided by ours.
"""

import argparse
import functools
import json
import multiprocessing
import os
import statistics
import time

import jax
import numpy as np

from benchmarks.peers import pil_views
from ssl_jax.augment import policies, views


def pil_batch(images: np.ndarray, strength: float, seed: int) -> np.ndarray:
  """Makes two views of each image in this process.

  Args:
    images: uint8 [B, H, W, 3].
    strength: strength of the colour jitter.
    seed: seed of all random numbers.

  Returns:
    float32 [2B, H, W, 3] in [0, 1].
  """
  made = pil_views.pairs(images, strength, seed)
  return made.reshape(-1, *images.shape[1:]).astype(np.float32) / 255


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--batch_size', type=int, default=512, help='number of images')
  parser.add_argument('--size', type=int, default=32,
                      help='side of images and views in pixels')
  parser.add_argument('--strength', type=float, default=0.5,
                      help='strength of the colour jitter')
  parser.add_argument('--recipe', default='simclr_v2', help='our recipe')
  parser.add_argument('--rounds', type=int, default=7,
                      help='number of times that each side is timed')
  parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)),
                      help="number of PIL's processes")
  args = parser.parse_args()

  shape = (args.batch_size, args.size, args.size, 3)
  images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
  policy = policies.build(args.recipe, strength=args.strength, blur=0.)
  ours = jax.jit(functools.partial(views.make, (policy, policy)))
  keys = list(jax.random.split(jax.random.key(0), args.rounds))
  # Workers are spawned, because a fork of a process with JAX's threads may deadlock.
  with multiprocessing.get_context('spawn').Pool(args.workers) as pool:
    def ours_once(i):
      return np.asarray(ours(keys[i], images))
    def pil_once(i):
      parts = np.array_split(images, args.workers)
      seeds = range(i * args.workers, (i + 1) * args.workers)
      work = [(part, args.strength, seed)
              for part, seed in zip(parts, seeds, strict=True)]
      return np.concatenate(pool.starmap(pil_batch, work))
    for once in (ours_once, pil_once):  # compiles our code, and starts the workers
      made = once(0)
      assert made.shape == (2 * shape[0], *shape[1:]) and 0 <= made.mean() <= 1
    seconds = {ours_once: [], pil_once: []}
    for i in range(args.rounds):
      for once, times in seconds.items():
        start = time.perf_counter()
        once(i)
        times.append(time.perf_counter() - start)

  rate = lambda once: 2 * args.batch_size / statistics.median(seconds[once])
  ratios = [p / o for o, p in zip(seconds[ours_once], seconds[pil_once], strict=True)]
  print(json.dumps({
      **vars(args), 'backend': jax.default_backend(), 'jax': jax.__version__,
      'cores': len(os.sched_getaffinity(0)),
      'ours_views_per_second': round(rate(ours_once)),
      'pil_views_per_second': round(rate(pil_once)),
      'ratio_median': round(statistics.median(ratios), 2),
      'ratio_range': [round(min(ratios), 2), round(max(ratios), 2)]}))


if __name__ == '__main__':
  main()
