"""Defines the first stages of a recipe, which select a part of an image and resize it.

A first stage maps (key, image) to an image, both float32 [H, W, C], and sets the shape
of the view.
"""

import dataclasses

import jax

from ssl_jax import config
from ssl_jax.augment import crop, parameters
from ssl_jax.augment.parameters import Range


@dataclasses.dataclass(frozen=True)
class FirstStage(parameters.Checked):
  """Selects a part of the image and resizes it.

  `size` is the side of a square result in pixels; None keeps the input's shape. A call
  may also take `valid_size`, int [2], the true height and width of an image that is at
  the top left of a larger canvas; None means that the image fills the array.
  """
  size: int | None = config.field(
      None, low=1, doc="Side of the result in pixels; None keeps the input's shape")
  method: str = parameters.method()
  antialias: bool = parameters.antialias()

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
  sampler: str = parameters.sampler()
  area: Range = parameters.area()
  ratio: Range = parameters.ratio()

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
