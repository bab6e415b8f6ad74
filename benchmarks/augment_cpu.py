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
import math
import multiprocessing
import os
import random
import statistics
import time

import jax
import numpy as np
from PIL import Image, ImageEnhance

from ssl_jax.augment import policies


def pil_crop(image: Image.Image, rng: random.Random) -> Image.Image:
  """A random resized crop, torchvision's sampler, bicubic."""
  width, height = image.size
  for _ in range(10):
    pixels = rng.uniform(0.08, 1) * width * height
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
    if 0 < w <= width and 0 < h <= height:
      left, top = rng.randint(0, width - w), rng.randint(0, height - h)
      box = (left, top, left + w, top + h)
      return image.resize((width, height), Image.Resampling.BICUBIC, box)
  return image


def pil_hue(image: Image.Image, delta: float) -> Image.Image:
  h, s, v = image.convert('HSV').split()
  shift = round(255 * delta) % 256
  h = h.point([(i + shift) % 256 for i in range(256)])
  return Image.merge('HSV', (h, s, v)).convert('RGB')


def pil_view(image: Image.Image, strength: float, rng: random.Random) -> np.ndarray:
  """uint8 [H, W, 3] of one view."""
  image = pil_crop(image, rng)
  if rng.random() < 0.5:
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
  if rng.random() < 0.8:
    factor = lambda: rng.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength)
    ops = [lambda x: ImageEnhance.Brightness(x).enhance(factor()),
           lambda x: ImageEnhance.Contrast(x).enhance(factor()),
           lambda x: ImageEnhance.Color(x).enhance(factor()),
           lambda x: pil_hue(x, rng.uniform(-0.2 * strength, 0.2 * strength))]
    rng.shuffle(ops)
    for op in ops:
      image = op(image)
  if rng.random() < 0.2:
    image = image.convert('L').convert('RGB')
  return np.asarray(image)


def pil_views(images: np.ndarray, strength: float, seed: int) -> np.ndarray:
  """uint8 [B, H, W, 3] -> float32 [2B, H, W, 3], in this process."""
  rng = random.Random(seed)
  made = [pil_view(image, strength, rng)
          for image in map(Image.fromarray, images) for _ in range(2)]
  return np.stack(made).astype(np.float32) / 255


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
  ours = jax.jit(functools.partial(policies.views, (policy, policy)))
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
      return np.concatenate(pool.starmap(pil_views, work))
    for once in (ours_once, theirs_once):  # compiles; starts the workers
      views = once(0)
      assert views.shape == (2 * shape[0], *shape[1:]) and 0 <= views.mean() <= 1
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
