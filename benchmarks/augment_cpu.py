r"""Two SimCLR views of a batch: ours in one jitted call against PIL by the image.

  python -m benchmarks.augment_cpu --batch_size=512 --rounds=7

The peer is what a data loader's worker does: torchvision's recipe (random
resized crop, flip, colour jitter, grey) written with PIL, on as many processes
as `--workers` says. Rounds alternate; the JSON gives views per second, and the
ratio (PIL's time by ours) of the rounds as median and range.
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
  """uint8 [B, H, W, 3] -> float32 [2B, H, W, 3], in this process."""
  made = pil_views.pairs(images, strength, seed)
  return made.reshape(-1, *images.shape[1:]).astype(np.float32) / 255


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--batch_size', type=int, default=512)
  parser.add_argument('--size', type=int, default=32)
  parser.add_argument('--strength', type=float, default=0.5)
  parser.add_argument('--recipe', default='simclr_v2')
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)))
  args = parser.parse_args()

  shape = (args.batch_size, args.size, args.size, 3)
  images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
  policy = policies.build(args.recipe, strength=args.strength, blur=0.)
  ours = jax.jit(functools.partial(views.make, (policy, policy)))
  keys = list(jax.random.split(jax.random.key(0), args.rounds))
  # Forked workers and JAX's threads do not mix.
  with multiprocessing.get_context('spawn').Pool(args.workers) as pool:
    def ours_once(i):
      return np.asarray(ours(keys[i], images))
    def theirs_once(i):
      parts = np.array_split(images, args.workers)
      seeds = range(i * args.workers, (i + 1) * args.workers)
      work = [(part, args.strength, seed)
              for part, seed in zip(parts, seeds, strict=True)]
      return np.concatenate(pool.starmap(pil_batch, work))
    for once in (ours_once, theirs_once):  # compiles; starts the workers
      made = once(0)
      assert made.shape == (2 * shape[0], *shape[1:]) and 0 <= made.mean() <= 1
    seconds = {ours_once: [], theirs_once: []}
    for i in range(args.rounds):
      for once, times in seconds.items():
        start = time.perf_counter()
        once(i)
        times.append(time.perf_counter() - start)

  rate = lambda once: 2 * args.batch_size / statistics.median(seconds[once])
  ratios = [t / o for o, t in zip(seconds[ours_once], seconds[theirs_once],
                                  strict=True)]
  print(json.dumps({
      **vars(args), 'backend': jax.default_backend(), 'jax': jax.__version__,
      'cores': len(os.sched_getaffinity(0)),
      'ours_views_per_second': round(rate(ours_once)),
      'pil_views_per_second': round(rate(theirs_once)),
      'ratio_median': round(statistics.median(ratios), 2),
      'ratio_range': [round(min(ratios), 2), round(max(ratios), 2)]}))


if __name__ == '__main__':
  main()
