"""Defines the stages of a recipe: an operation, its parameters and its probability.

A stage is a frozen dataclass that maps (key, image) to an image, both float32
[H, W, C]. The recipe converts uint8 to [0, 1] before the stages and clips after them.
The first stage of a recipe also sets the shape; see `first_stages`. A parameter
that is not accepted raises `errors.UserError` when the stage is built.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ssl_jax import config
from ssl_jax.augment import color, filters, first_stages, geometry, parameters
from ssl_jax.augment.parameters import Range

Stage = Callable[[jax.Array, jax.Array], jax.Array]


def maybe(key: jax.Array, p: float, changed: jax.Array,
          image: jax.Array) -> jax.Array:
  """Returns `changed` with probability `p`, otherwise `image`.

  Args:
    key: a PRNG key.
    p: probability, a Python number.
    changed: float32 [H, W, C], the result of an operation.
    image: float32 [H, W, C].
  """
  if p in (0, 1):
    return changed if p else image
  return jnp.where(jax.random.bernoulli(key, p), changed, image)


def random_apply(key: jax.Array, p: float, stage: Stage,
                 image: jax.Array) -> jax.Array:
  """Returns `stage(key, image)` with probability `p`, otherwise the image.

  The stage is always computed, because `vmap` turns a branch into a selection anyway.

  Args:
    key: a PRNG key.
    p: probability, a Python number.
    stage: maps a key and an image to an image.
    image: float32 [H, W, C].
  """
  coin, key = jax.random.split(key)
  return maybe(coin, p, stage(key, image), image) if p else image


@dataclasses.dataclass(frozen=True)
class Flip(parameters.Checked):
  """Swaps left and right."""
  p: float = parameters.probability(0.5, 'a flip')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, geometry.flip(image), image)


@dataclasses.dataclass(frozen=True)
class Rotation:
  """Rotates by 0, 90, 180 or 270 degrees, each equally likely."""

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.rotate(image, jax.random.randint(key, (), 0, 4))


@dataclasses.dataclass(frozen=True)
class PadCrop(parameters.Checked):
  """Shifts by up to `pad` pixels in each direction; zeros replace shifted pixels."""
  pad: int = parameters.pad()

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.pad_and_crop(key, image, self.pad) if self.pad else image


@dataclasses.dataclass(frozen=True)
class Cutout(parameters.Checked):
  """Sets a square at a random position to 0."""
  fraction: float = config.field(
      0.5, above=0, high=1, doc="Side of the square; the image's height is 1")
  p: float = parameters.probability(1.0, 'a square')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    cut = lambda key, x: geometry.cutout(key, x, self.fraction)
    return random_apply(key, self.p, cut, image)


@dataclasses.dataclass(frozen=True)
class Color(parameters.Checked):
  """Jitters colours with probability `p`, and converts to grey with `gray`."""
  strength: float = parameters.strength()
  style: str = parameters.style()
  p: float = parameters.probability(0.8, 'colour jitter')
  gray: float = parameters.probability(0.2, 'a conversion to grey, after the jitter')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    coin_key, key = jax.random.split(key)
    jittered, grayed = jax.random.uniform(coin_key, (2,))
    changed = color.jitter(key, image, self.strength, self.style)
    image = jnp.where(jittered < self.p, changed, image)
    return jnp.where(grayed < self.gray, color.grayscale(image), image)


@dataclasses.dataclass(frozen=True)
class Blur(parameters.Checked):
  """Blurs by a Gaussian whose standard deviation is uniform in `sigma` pixels.

  Each image has its own standard deviation. (google's TPU code draws one for a batch of
  views.) The kernel grows with the image, see `filters.blur_radius`; images of fewer
  than 20 px do not change.
  """
  p: float = parameters.probability(0.5, 'blur')
  sigma: Range = parameters.sigma()

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    radius = filters.blur_radius(image.shape[0])
    if radius == 0:
      return image
    def blur(key, image):
      low, high = self.sigma
      sigma = jax.random.uniform(key, minval=low, maxval=high)
      return filters.gaussian_blur(image, sigma, radius)
    return random_apply(key, self.p, blur, image)


@dataclasses.dataclass(frozen=True)
class Solarize(parameters.Checked):
  """Inverts all values that are at least `threshold`."""
  p: float = parameters.probability(0.2, 'solarization')
  threshold: float = config.field(
      0.5, low=0, high=1, doc='Smallest value that is inverted')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, color.solarize(image, self.threshold), image)


@dataclasses.dataclass(frozen=True)
class Sobel(parameters.Checked):
  """Replaces the image by its edges."""
  p: float = parameters.probability(0.5, 'edges')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, filters.sobel(image), image)


@dataclasses.dataclass(frozen=True)
class Noise(parameters.Checked):
  """Adds Gaussian noise of standard deviation `std` to values in [0, 1]."""
  std: float = config.field(
      0.1, low=0, doc='Standard deviation of the noise; values are in [0, 1]')
  p: float = parameters.probability(0.5, 'noise')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    noise = lambda key, x: filters.add_noise(key, x, self.std)
    return random_apply(key, self.p, noise, image)


BY_NAME = {
    'crop': first_stages.RandomCrop, 'pad_crop': PadCrop, 'flip': Flip,
    'rotation': Rotation, 'cutout': Cutout, 'color': Color, 'blur': Blur,
    'solarize': Solarize, 'sobel': Sobel, 'noise': Noise,
}
