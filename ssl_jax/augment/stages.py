"""The steps of a recipe: an operation, its parameters and its probability.

A stage is a frozen dataclass that maps (key, image) to an image, both float32
[H, W, C]; the recipe turns uint8 into [0, 1] before and clips after. The first
of a recipe is a `Frame`, which also sets the shape. Bad parameters raise
`errors.UserError` when a stage is made.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.augment import color, crop, filters, geometry, resample

Stage = Callable[[jax.Array, jax.Array], jax.Array]
Range = tuple[float, float]


def maybe(key: jax.Array, p: float, changed: jax.Array,
          image: jax.Array) -> jax.Array:
  """`changed` with probability `p`, otherwise `image`."""
  if p in (0, 1):
    return changed if p else image
  return jnp.where(jax.random.bernoulli(key, p), changed, image)


def random_apply(key: jax.Array, p: float, stage: Stage,
                 image: jax.Array) -> jax.Array:
  """`stage(key, image)` with probability `p`, otherwise the image.

  Both are computed and one selected, which is what `vmap` makes of a branch.
  """
  coin, key = jax.random.split(key)
  return maybe(coin, p, stage(key, image), image) if p else image


def require(ok: bool, field: str, value: object, accepted: str) -> None:
  """Raises `errors.UserError` unless `ok`."""
  if not ok:
    raise errors.UserError(
        f'config.augment.{field} is {value!r}; it must be {accepted}')


def _probability(field: str, p: float) -> None:
  require(0 <= p <= 1, field, p, 'a probability from 0 to 1')


def _ordered(field: str, pair: Range, least: float, most: float) -> None:
  ok = len(pair) == 2 and least < pair[0] <= pair[1] <= most
  require(ok, field, pair, 'two numbers, the smaller first, above '
          f'{least:g}' + (f' and up to {most:g}' if most < float('inf') else ''))


@dataclasses.dataclass(frozen=True)
class Frame:
  """Decides which part of the image is seen, and resizes it.

  `size` is the side of a square result in pixels; None keeps the input's shape.
  `extent`, int [2], is the true height and width of an image that lies in the
  top left of a larger canvas; None means all of it.
  """
  size: int | None = None
  method: str = 'bicubic'
  antialias: bool = False

  def __post_init__(self):
    require(self.size is None or self.size > 0, 'size', self.size,
            'at least 1, or None')
    errors.choose('config.augment.method', self.method, resample.KERNELS)

  def box(self, key: jax.Array, height: jax.typing.ArrayLike,
          width: jax.typing.ArrayLike, aspect: float) -> crop.Box:
    """Where to look in an image of that size, for a result of that `aspect`."""
    raise NotImplementedError

  def __call__(self, key: jax.Array, image: jax.Array,
               extent: jax.Array | None = None) -> jax.Array:
    shape = image.shape[:2] if self.size is None else (self.size, self.size)
    height, width = image.shape[:2] if extent is None else extent
    box = self.box(key, height, width, shape[1] / shape[0])
    return crop.crop_and_resize(image, box, shape, self.method, self.antialias)


@dataclasses.dataclass(frozen=True)
class RandomCrop(Frame):
  """A random part; see `crop` for the two samplers."""
  sampler: str = 'tensorflow'
  area: Range = (0.08, 1.0)
  ratio: Range = (3 / 4, 4 / 3)

  def __post_init__(self):
    super().__post_init__()
    errors.choose('config.augment.sampler', self.sampler, crop.SAMPLERS)
    _ordered('area', self.area, 0, 1)
    _ordered('ratio', self.ratio, 0, float('inf'))

  def box(self, key, height, width, aspect):
    # google scales the range by the result's shape, torchvision does not.
    scale = aspect if self.sampler == 'tensorflow' else 1
    ratio = (self.ratio[0] * scale, self.ratio[1] * scale)
    return crop.SAMPLERS[self.sampler](key, height, width, self.area, ratio)


@dataclasses.dataclass(frozen=True)
class CenterCrop(Frame):
  """`proportion` of the largest central part that has the result's shape."""
  proportion: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    require(0 < self.proportion <= 1, 'proportion', self.proportion,
            'above 0 and up to 1')

  def box(self, key, height, width, aspect):
    del key
    return crop.center_box(height, width, self.proportion, aspect)

  def __call__(self, key, image, extent=None):
    unchanged = self.size is None or image.shape[:2] == (self.size, self.size)
    if unchanged and extent is None and self.proportion == 1:
      return image
    return super().__call__(key, image, extent)


@dataclasses.dataclass(frozen=True)
class Flip:
  """Mirrors left and right."""
  p: float = 0.5

  def __post_init__(self):
    _probability('flip.p', self.p)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, geometry.flip(image), image)


@dataclasses.dataclass(frozen=True)
class Rotation:
  """One of the four multiples of a quarter turn, equally likely."""

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.rotate(image, jax.random.randint(key, (), 0, 4))


@dataclasses.dataclass(frozen=True)
class PadCrop:
  """A shift of up to `pad` pixels each way, zeros following."""
  pad: int = 4

  def __post_init__(self):
    require(self.pad >= 0, 'pad', self.pad, 'at least 0')

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return geometry.pad_and_crop(key, image, self.pad) if self.pad else image


@dataclasses.dataclass(frozen=True)
class Cutout:
  """Blackens a square of `fraction` of the image's side."""
  fraction: float = 0.5
  p: float = 1.0

  def __post_init__(self):
    require(0 < self.fraction <= 1, 'cutout.fraction', self.fraction,
            'above 0 and up to 1')
    _probability('cutout.p', self.p)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    cut = lambda key, x: geometry.cutout(key, x, self.fraction)
    return random_apply(key, self.p, cut, image)


@dataclasses.dataclass(frozen=True)
class Color:
  """Colour distortion: jitter with probability `p`, then grey with `gray`."""
  strength: float = 1.0
  style: str = 'simclr_v2'
  p: float = 0.8
  gray: float = 0.2

  def __post_init__(self):
    require(self.strength >= 0, 'strength', self.strength, 'at least 0')
    errors.choose('config.augment.style', self.style, color.STYLES)
    _probability('color_p', self.p)
    _probability('gray_p', self.gray)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    coin_key, key = jax.random.split(key)
    jittered, grayed = jax.random.uniform(coin_key, (2,))
    changed = color.jitter(key, image, self.strength, self.style)
    image = jnp.where(jittered < self.p, changed, image)
    return jnp.where(grayed < self.gray, color.grayscale(image), image)


@dataclasses.dataclass(frozen=True)
class Blur:
  """Gaussian blur, sigma uniform in `sigma` pixels for each image by itself.

  (google's TPU code draws one sigma for a batch of views.) The kernel grows with
  the image, see `filters.blur_radius`; below 20 px it has one tap.
  """
  p: float = 0.5
  sigma: Range = (0.1, 2.0)

  def __post_init__(self):
    _probability('blur', self.p)
    _ordered('sigma', self.sigma, 0, float('inf'))

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
class Solarize:
  """Inverts what is at least `threshold`."""
  p: float = 0.2
  threshold: float = 0.5

  def __post_init__(self):
    _probability('solarize', self.p)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, color.solarize(image, self.threshold), image)


@dataclasses.dataclass(frozen=True)
class Sobel:
  """Edges instead of the image."""
  p: float = 0.5

  def __post_init__(self):
    _probability('sobel.p', self.p)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    return maybe(key, self.p, filters.sobel(image), image)


@dataclasses.dataclass(frozen=True)
class Noise:
  """Gaussian noise of standard deviation `std` (of a range of 1)."""
  std: float = 0.1
  p: float = 0.5

  def __post_init__(self):
    require(self.std >= 0, 'noise.std', self.std, 'at least 0')
    _probability('noise.p', self.p)

  def __call__(self, key: jax.Array, image: jax.Array) -> jax.Array:
    noise = lambda key, x: filters.add_noise(key, x, self.std)
    return random_apply(key, self.p, noise, image)


BY_NAME = {
    'crop': RandomCrop, 'pad_crop': PadCrop, 'flip': Flip, 'rotation': Rotation,
    'cutout': Cutout, 'color': Color, 'blur': Blur, 'solarize': Solarize,
    'sobel': Sobel, 'noise': Noise,
}
