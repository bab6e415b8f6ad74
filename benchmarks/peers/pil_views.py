"""SimCLR's view of one image with PIL: what a data loader's worker computes."""

import math
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter


def crop(image: Image.Image, rng: random.Random, size: int) -> Image.Image:
  """A random resized crop, torchvision's sampler, bicubic."""
  width, height = image.size
  for _ in range(10):
    pixels = rng.uniform(0.08, 1) * width * height
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
    if 0 < w <= width and 0 < h <= height:
      left, top = rng.randint(0, width - w), rng.randint(0, height - h)
      box = (left, top, left + w, top + h)
      return image.resize((size, size), Image.Resampling.BICUBIC, box)
  return image.resize((size, size), Image.Resampling.BICUBIC)


def hue(image: Image.Image, delta: float) -> Image.Image:
  h, s, v = image.convert('HSV').split()
  shift = round(255 * delta) % 256
  h = h.point([(i + shift) % 256 for i in range(256)])
  return Image.merge('HSV', (h, s, v)).convert('RGB')


def view(image: Image.Image, strength: float, rng: random.Random,
         size: int | None = None, blur: float = 0.) -> np.ndarray:
  """uint8 [size, size, 3] of one view; `blur` is a probability."""
  size = size or image.size[1]
  image = crop(image, rng, size)
  if rng.random() < 0.5:
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
  if rng.random() < 0.8:
    factor = lambda: rng.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength)
    ops = [lambda x: ImageEnhance.Brightness(x).enhance(factor()),
           lambda x: ImageEnhance.Contrast(x).enhance(factor()),
           lambda x: ImageEnhance.Color(x).enhance(factor()),
           lambda x: hue(x, rng.uniform(-0.2 * strength, 0.2 * strength))]
    rng.shuffle(ops)
    for op in ops:
      image = op(image)
  if rng.random() < 0.2:
    image = image.convert('L').convert('RGB')
  if rng.random() < blur:
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2)))
  return np.asarray(image)


def pairs(images: np.ndarray, strength: float, seed: int,
          size: int | None = None) -> np.ndarray:
  """uint8 [B, H, W, 3] -> two views of each image, uint8 [B, 2, size, size, 3]."""
  rng, blur = random.Random(seed), 0.5 * ((size or 0) > 32)
  return np.stack([[view(image, strength, rng, size, blur) for _ in range(2)]
                   for image in map(Image.fromarray, images)])
