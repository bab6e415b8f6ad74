"""Named, versioned augmentation recipes, and the views they make of a batch.

The codes of the field disagree silently on crops, colours and blur. Here every
choice has a name, and a recipe states all of them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.augment import stages
from ssl_jax.augment.stages import Range


@dataclasses.dataclass(frozen=True)
class Policy:
  """What every recipe has: the size of a view and its normalisation."""
  size: int | None = config.field(
      None, low=1, doc='Side of the square views in pixels; None keeps the shape of '
      'the images')
  mean: tuple[float, ...] | None = config.field(
      None, low=-1000, high=1000, nonempty=True,
      doc='Number for each channel that is subtracted from the finished view, whose '
      'values are in [0, 1]; None leaves them so')
  std: tuple[float, ...] | None = config.field(
      None, above=0, nonempty=True,
      doc='Number for each channel by which it is then divided; set both or none')

  def __post_init__(self):
    if (self.mean is None) != (self.std is None):
      raise errors.UserError(
          'config.augment.mean and config.augment.std go together: set both or none')
    # Stages check their own parameters; build them once, before any tracing.
    self.stages(self.size or 32)

  def stages(self, size: int) -> tuple[stages.Stage, ...]:
    """The steps for views `size` pixels high; the first is a `stages.Frame`."""
    raise NotImplementedError

  def __call__(self, key: jax.Array, image: jax.Array,
               extent: jax.Array | None = None) -> jax.Array:
    """Makes one view.

    Args:
      key: a PRNG key.
      image: [H, W, C], uint8 or floats in [0, 1].
      extent: int [2], the image's true height and width, where it lies in the
        top left of a larger canvas.

    Returns:
      float32 [h, w, C], in [0, 1] unless normalised.

    Raises:
      errors.UserError: channels that do not suit the recipe.
    """
    if image.dtype == jnp.uint8:
      image = image.astype(jnp.float32) / 255
    steps = self.stages(self.size or image.shape[0])
    keys = jax.random.split(key, len(steps))
    image = steps[0](keys[0], image, extent)
    for key, step in zip(keys[1:], steps[1:], strict=True):
      image = step(key, image)
    return self._normalize(jnp.clip(image, 0, 1))

  def _normalize(self, image: jax.Array) -> jax.Array:
    if self.mean is None:
      return image
    if not len(self.mean) == len(self.std) == image.shape[-1]:
      raise errors.UserError(
          f'config.augment.mean and std have {len(self.mean)} and {len(self.std)} '
          f'numbers; these images have {image.shape[-1]} channels')
    mean, std = jnp.array(self.mean), jnp.array(self.std)
    return (image - mean[None, None, :]) / std[None, None, :]


@dataclasses.dataclass(frozen=True)
class SimCLR(Policy):
  """Crop, flip, colour distortion, blur (Chen et al. 2020, appendix A)."""
  sampler: str = stages.sampler()
  area: Range = stages.area()
  ratio: Range = stages.ratio()
  method: str = stages.method()
  antialias: bool = stages.antialias()
  flip_p: float = stages.probability(0.5, 'a left-right flip')
  strength: float = stages.strength()
  style: str = stages.style()
  color_p: float = stages.probability(0.8, 'colour jitter')
  gray_p: float = stages.probability(0.2, 'grey, whether jittered or not')
  blur: float | None = stages.probability(
      None, 'blur; None is 0.5, and 0 up to 32 pixels as for CIFAR')
  sigma: Range = stages.sigma()

  def stages(self, size):
    blur = (0.5 if size > 32 else 0.0) if self.blur is None else self.blur
    color = stages.Color(self.strength, self.style, self.color_p, self.gray_p)
    return (
        stages.RandomCrop(self.size, self.method, self.antialias, self.sampler,
                          self.area, self.ratio),
        stages.Flip(self.flip_p),
        *([color] if self.strength > 0 else []),
        stages.Blur(blur, self.sigma))


@dataclasses.dataclass(frozen=True)
class RotNet(Policy):
  """Shift by up to `pad` pixels and flip (Gidaris et al. 2018, CIFAR-10 code).

  The method itself makes the four rotations. That code normalises with mean
  (125.3, 123.0, 113.9) / 255 and std (63.0, 62.1, 66.7) / 255.
  """
  pad: int = stages.pad()
  flip_p: float = stages.probability(0.5, 'a left-right flip')

  def stages(self, size):
    return (stages.CenterCrop(self.size), stages.PadCrop(self.pad),
            stages.Flip(self.flip_p))


@dataclasses.dataclass(frozen=True)
class Plain(Policy):
  """No augmentation: a central crop, resized; what evaluation sees.

  Images of the right size that are not cropped stay as they are.
  """
  method: str = stages.method()
  antialias: bool = stages.antialias()
  proportion: float | None = config.field(
      None, above=0, high=1, doc="Part of the image's sides that is seen; None is "
      "0.875, and 1 up to 32 pixels, as in google's SimCLR")

  def stages(self, size):
    proportion = self.proportion
    if proportion is None:
      proportion = 0.875 if size > 32 else 1.0
    return (stages.CenterCrop(self.size, self.method, self.antialias, proportion),)


@dataclasses.dataclass(frozen=True)
class Compose(Policy):
  """Any operations in any order, for ablations."""
  ops: tuple[Any, ...] = config.field(
      ('crop', 'flip'),
      doc=f'Names of operations ({", ".join(stages.BY_NAME)}), or pairs of a name and '
      "a dict of its fields: ('crop', ('color', {'strength': 0.5}))")

  def __post_init__(self):
    # A dict is not hashable, and policies are compared and hashed.
    object.__setattr__(self, 'ops', tuple(
        (op, ()) if isinstance(op, str) else (op[0], _items(op[1]))
        for op in self.ops))
    super().__post_init__()

  def stages(self, size):
    made = tuple(
        config.build(errors.choose('config.augment.ops', name, stages.BY_NAME),
                     dict(fields), f'augment.{name}')
        for name, fields in self.ops)
    if made and isinstance(made[0], stages.Frame):
      return (dataclasses.replace(made[0], size=self.size), *made[1:])
    return (stages.CenterCrop(self.size), *made)


def _items(fields: Any) -> tuple[tuple[str, Any], ...]:
  if isinstance(fields, Mapping):
    fields = fields.items()
  return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in fields)


# From a recipe's name to its class and the fields that differ from the defaults.
RECIPES = {
    'simclr_v1': (SimCLR, {'style': 'simclr_v1'}),
    'simclr_v2': (SimCLR, {'style': 'simclr_v2'}),
    'torchvision': (SimCLR, {'style': 'torchvision', 'sampler': 'torchvision',
                             'method': 'bilinear', 'antialias': True}),
    'crop_flip': (SimCLR, {'strength': 0.0, 'blur': 0.0}),
    'rotnet': (RotNet, {}),
    'none': (Plain, {}),
    'compose': (Compose, {}),
}


CLASSES = {name: cls for name, (cls, _) in RECIPES.items()}


def build(recipe: str, /, **overrides: Any) -> Policy:
  """Makes the policy of a recipe.

  * simclr_v1: google's SimCLR with additive brightness, as in the first paper.
  * simclr_v2: google's default since version 2, multiplicative brightness.
  * torchvision: the same recipe as lightly and solo-learn write it: other crops,
    contrast and saturation. (Blur stays google's.)
  * crop_flip: for linear evaluation and fine-tuning.
  * rotnet: shift and flip.
  * none: for evaluation.
  * compose: any operations, for ablations.

  Args:
    recipe: one of these names.
    **overrides: fields of the recipe's class.

  Raises:
    errors.UserError: an unknown recipe or field, or a value out of range.
  """
  cls, defaults = errors.choose('config.augment.recipe', recipe, RECIPES)
  return config.build(cls, {**defaults, **overrides}, 'augment')


def from_config(section: Mapping[str, Any]) -> Policy:
  """Makes the policy of a config's section `augment`: a recipe and overrides.

  Raises:
    errors.UserError: as `build`, or no recipe.
  """
  overrides = dict(section)
  return build(overrides.pop('recipe', ''), **overrides)


def evaluation(policy: Policy) -> Policy:
  """No augmentation, at the size and with the normalisation of `policy`."""
  return build('none', size=policy.size, mean=policy.mean, std=policy.std)


def views(policies: tuple[Policy, ...], key: jax.Array, images: jax.Array,
          dtype: jax.typing.DTypeLike = jnp.float32,
          extents: jax.Array | None = None) -> jax.Array:
  """Applies V policies to every image, each with a key of its own.

  Views of an image are adjacent, so that a batch which is sharded stays where it
  is; concatenating along the batch would move every view to another device.

  Args:
    policies: one per view; all must give the same shape.
    key: a PRNG key. Image i gets the same randomness on any number of devices.
    images: uint8 or float [B, H, W, C].
    dtype: of the result.
    extents: int [B, 2], true heights and widths; see `Policy.__call__`.

  Returns:
    [B * V, h, w, C]; row i * V + v is view v of image i.
  """
  count = len(policies)
  keys = jax.random.split(key, images.shape[0] * count)
  if len(set(policies)) == 1:
    # One program for all views: half the code to compile, half the launches.
    again = lambda x: jnp.repeat(x, count, axis=0)
    images, extents = jax.tree.map(again, (images, extents))
    return jax.vmap(policies[0])(keys, images, extents).astype(dtype)
  made = [jax.vmap(policy)(keys[v::count], images, extents)
          for v, policy in enumerate(policies)]
  made = jnp.stack(made, axis=1).astype(dtype)
  return made.reshape(-1, *made.shape[2:])
