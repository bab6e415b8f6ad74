"""Declares the parameters that recipes share with their stages."""

from typing import Any

from ssl_jax import config, errors
from ssl_jax.augment import color, crop, resample

Range = tuple[float, float]


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


class Checked:
  """Checks the fields of a stage when it is built."""

  def __post_init__(self):
    config.validate(self, 'augment')
    for name in ('area', 'ratio', 'sigma'):
      low, high = getattr(self, name, (0, 0))
      if low > high:
        raise errors.UserError(
            f'config.augment.{name} is {(low, high)}; give the smaller number first')
