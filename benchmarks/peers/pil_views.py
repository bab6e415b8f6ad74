"""Makes SimCLR's views of images one by one with PIL, as a data loader's workers do."""

import math
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter


def crop(image: Image.Image, rng: random.Random, size: int) -> Image.Image:
  """Returns a random crop by torchvision's sampler, resized with a bicubic filter.

  Args:
    image: the image.
    rng: source of random numbers.
    size: side of the result in pixels.
  """
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
  """Rotates the hue by `delta` of a full circle."""
  h, s, v = image.convert('HSV').split()
  shift = round(255 * delta) % 256
  h = h.point([(i + shift) % 256 for i in range(256)])
  return Image.merge('HSV', (h, s, v)).convert('RGB')


def view(image: Image.Image, strength: float, rng: random.Random,
         size: int | None = None, blur: float = 0.) -> np.ndarray:
  """Makes one view, uint8 [size, size, 3].

  Args:
    image: the image.
    strength: strength of the colour jitter.
    rng: source of random numbers.
    size: side of the view in pixels; None is the height of the image.
    blur: probability of a blur.
  """
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
  """Makes two views of each image, uint8 [B, 2, size, size, 3].

  Args:
    images: uint8 [B, H, W, 3].
    strength: strength of the colour jitter.
    seed: seed of all random numbers.
    size: side of a view in pixels; None is H.
  """
  rng, blur = random.Random(seed), 0.5 * ((size or 0) > 32)
  return np.stack([[view(image, strength, rng, size, blur) for _ in range(2)]
                   for image in map(Image.fromarray, images)])
