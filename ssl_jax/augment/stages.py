"""Defines the stages of a recipe: an operation, its parameters and its probability.

A stage is a frozen dataclass that maps (key, image) to an image, both float32
[H, W, C]. The recipe converts uint8 to [0, 1] before the stages and clips after them.
The first stage of a recipe is a `FirstStage`, which also sets the shape. A parameter
that is not accepted raises `errors.UserError` when the stage is built.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.augment import color, crop, filters, geometry, resample

Stage = Callable[[jax.Array, jax.Array], jax.Array]
Range = tuple[float, float]


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


# Fields that recipes share with their stages.
def probability(default: float | None, operation: str) -> Any:
  return config.field(default, low=0, high=1, doc=f'Probability of {operation}')


def method() -> Any:
  return config.field('bicubic', choices=resample.KERNELS, doc='Filter of the resizing')


def antialias() -> Any:
  return config.field(
      False, doc="True averages pixels where a crop shrinks; google's code does not")


def sampler() -> Any:
  return config.field('tensorflow', choices=crop.SAMPLERS,
                      doc='Library whose rule draws the crops')


def area() -> Any:
  return config.field((0.08, 1.0), above=0, high=1,
                      doc="Range of the crop's area, as a fraction of the image")


def ratio() -> Any:
  return config.field((3 / 4, 4 / 3), above=0, doc="Range of the crop's width / height")


def pad() -> Any:
  return config.field(4, low=0, doc='Largest shift in pixels')


def strength() -> Any:
  return config.field(1.0, low=0, doc='Strength of the colour jitter; with 0 the '
                      'recipe also converts no view to grey')


def style() -> Any:
  return config.field('simclr_v2', choices=color.STYLES,
                      doc='Implementation that the colour jitter follows')


def sigma() -> Any:
  return config.field((0.1, 2.0), above=0,
                      doc='Range of the standard deviation of the blur in pixels')


class _Checked:
  """Checks the fields of a stage when it is built."""

  def __post_init__(self):
    config.validate(self, 'augment')
    for name in ('area', 'ratio', 'sigma'):
      low, high = getattr(self, name, (0, 0))
      if low > high:
        raise errors.UserError(
            f'config.augment.{name} is {(low, high)}; give the smaller number first')


@dataclasses.dataclass(frozen=True)
class FirstStage(_Checked):
  """Selects a part of the image and resizes it.

  `size` is the side of a square result in pixels; None keeps the input's shape. A call
  may also take `valid_size`, int [2], the true height and width of an image that is at
  the top left of a larger canvas; None means that the image fills the array.
  """
  size: int | None = config.field(
      None, low=1, doc="Side of the result in pixels; None keeps the input's shape")
  method: str = method()
  antialias: bool = antialias()

  def box(self, key: jax.Array, height: jax.typing.ArrayLike,
          width: jax.typing.ArrayLike, aspect: float) -> crop.Box:
    """Returns the box of the part of an image that becomes the view.

    Args:
      key: a PRNG key.
      height: height of the image in pixels; may be traced.
      width: width of the image in pixels; may be traced.
      aspect: width / height of the view.
    """
    raise NotImplementedError

  def __call__(self, key: jax.Array, image: jax.Array,
               valid_size: jax.Array | None = None) -> jax.Array:
    shape = image.shape[:2] if self.size is None else (self.size, self.size)
    height, width = image.shape[:2] if valid_size is None else valid_size
    box = self.box(key, height, width, shape[1] / shape[0])
    return crop.crop_and_resize(image, box, shape, self.method, self.antialias)


@dataclasses.dataclass(frozen=True)
class RandomCrop(FirstStage):
  """Selects a random part; see `crop` for the samplers."""
  sampler: str = sampler()
  area: Range = area()
  ratio: Range = ratio()

  def box(self, key, height, width, aspect):
    # google's code scales the range by the shape of the view; torchvision does not.
    scale = aspect if self.sampler == 'tensorflow' else 1
    ratio = (self.ratio[0] * scale, self.ratio[1] * scale)
    return crop.SAMPLERS[self.sampler](key, height, width, self.area, ratio)


@dataclasses.dataclass(frozen=True)
class CenterCrop(FirstStage):
  """Selects the centre, in the shape of the view."""
  proportion: float = config.field(
      1.0, above=0, high=1, doc='Sides of the crop as a fraction of those of the '
      'largest possible')

  def box(self, key, height, width, aspect):
    del key
    return crop.center_box(height, width, self.proportion, aspect)

  def __call__(self, key, image, valid_size=None):
    if valid_size is None and self._keeps(image.shape[:2]):
      return image
    return super().__call__(key, image, valid_size)

  def matrices(self, shape: tuple[int, int]) -> tuple[jax.Array, jax.Array] | None:
    """Returns the matrices that resample the rows and the columns of an image.

    Args:
      shape: height H and width W of the image in pixels.

    Returns:
      float32 [h, H] and [w, W]; None if such images do not change.
    """
    if self._keeps(shape):
      return None
    size = shape if self.size is None else (self.size, self.size)
    box = crop.center_box(*shape, self.proportion, size[1] / size[0])
    return crop.resize_matrices(shape, box, size, self.method, self.antialias)

  def _keeps(self, shape: tuple[int, int]) -> bool:
    """Returns whether images of a shape do not change."""
    same_size = self.size is None or tuple(shape) == (self.size, self.size)
    return same_size and self.proportion == 1


@dataclasses.dataclass(frozen=True)
class Flip(_Checked):
  """Swaps left and right."""
  p: float = probability(0.5, 'a flip')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, geometry.flip(image), image)


@dataclasses.dataclass(frozen=True)
class Rotation:
  """Rotates by 0, 90, 180 or 270 degrees, each equally likely."""

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.rotate(image, jax.random.randint(key, (), 0, 4))


@dataclasses.dataclass(frozen=True)
class PadCrop(_Checked):
  """Shifts by up to `pad` pixels in each direction; zeros replace shifted pixels."""
  pad: int = pad()

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.pad_and_crop(key, image, self.pad) if self.pad else image


@dataclasses.dataclass(frozen=True)
class Cutout(_Checked):
  """Sets a square at a random position to 0."""
  fraction: float = config.field(
      0.5, above=0, high=1, doc="Side of the square; the image's height is 1")
  p: float = probability(1.0, 'a square')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    cut = lambda key, x: geometry.cutout(key, x, self.fraction)
    return random_apply(key, self.p, cut, image)


@dataclasses.dataclass(frozen=True)
class Color(_Checked):
  """Jitters colours with probability `p`, and converts to grey with `gray`."""
  strength: float = strength()
  style: str = style()
  p: float = probability(0.8, 'colour jitter')
  gray: float = probability(0.2, 'a conversion to grey, after the jitter')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    coin_key, key = jax.random.split(key)
    jittered, grayed = jax.random.uniform(coin_key, (2,))
    changed = color.jitter(key, image, self.strength, self.style)
    image = jnp.where(jittered < self.p, changed, image)
    return jnp.where(grayed < self.gray, color.grayscale(image), image)


@dataclasses.dataclass(frozen=True)
class Blur(_Checked):
  """Blurs by a Gaussian whose standard deviation is uniform in `sigma` pixels.

  Each image has its own standard deviation. (google's TPU code draws one for a batch of
  views.) The kernel grows with the image, see `filters.blur_radius`; images of fewer
  than 20 px do not change.
  """
  p: float = probability(0.5, 'blur')
  sigma: Range = sigma()

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
class Solarize(_Checked):
  """Inverts all values that are at least `threshold`."""
  p: float = probability(0.2, 'solarization')
  threshold: float = config.field(
      0.5, low=0, high=1, doc='Smallest value that is inverted')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, color.solarize(image, self.threshold), image)


@dataclasses.dataclass(frozen=True)
class Sobel(_Checked):
  """Replaces the image by its edges."""
  p: float = probability(0.5, 'edges')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, filters.sobel(image), image)


@dataclasses.dataclass(frozen=True)
class Noise(_Checked):
  """Adds Gaussian noise of standard deviation `std` to values in [0, 1]."""
  std: float = config.field(
      0.1, low=0, doc='Standard deviation of the noise; values are in [0, 1]')
  p: float = probability(0.5, 'noise')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    noise = lambda key, x: filters.add_noise(key, x, self.std)
    return random_apply(key, self.p, noise, image)


BY_NAME = {
    'crop': RandomCrop, 'pad_crop': PadCrop, 'flip': Flip, 'rotation': Rotation,
    'cutout': Cutout, 'color': Color, 'blur': Blur, 'solarize': Solarize,
    'sobel': Sobel, 'noise': Noise,
}
