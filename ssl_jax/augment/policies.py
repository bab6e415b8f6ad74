"""Defines named, versioned augmentation recipes, for all crops or for each of them.

Published implementations silently disagree on crops, colours and blur. Here every
choice has a name, and a recipe states all choices.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.augment import crop, first_stages, parameters, stages
from ssl_jax.augment.parameters import Range


@dataclasses.dataclass(frozen=True)
class Policy:
  """Describes what all recipes share: the size of a view and its normalisation."""
  size: int | None = config.field(
      None, low=1, doc='Side of the square views in pixels; None keeps the shape of '
      'the images')
  mean: tuple[float, ...] | None = config.field(
      None, low=-1000, high=1000, nonempty=True,
      doc='Number for each channel that is subtracted from the finished view, whose '
      'values are in [0, 1]; None subtracts nothing')
  std: tuple[float, ...] | None = config.field(
      None, above=0, nonempty=True,
      doc='Number for each channel by which the view is then divided; set mean and '
      'std, or neither')

  def __post_init__(self):
    if (self.mean is None) != (self.std is None):
      raise errors.UserError(
          'config.augment.mean and config.augment.std go together: set both or none')
    # Stages check their own parameters. This builds them once, before any tracing.
    self.stages(self.size or 32)

  def stages(self, size: int) -> tuple[stages.Stage, ...]:
    """Returns the operations for views `size` pixels high, in their order.

    The first is a `first_stages.FirstStage`.
    """
    raise NotImplementedError

  def __call__(self, key: jax.Array, image: jax.Array,
               valid_size: jax.Array | None = None) -> jax.Array:
    """Makes one view.

    Args:
      key: a PRNG key.
      image: [H, W, C], uint8 or floats in [0, 1].
      valid_size: int [2], the image's true height and width, if it is at the top left
        of a larger canvas; None if the image fills the array.

    Returns:
      float32 [h, w, C], in [0, 1] unless normalised.

    Raises:
      errors.UserError: the recipe does not accept this number of channels.
    """
    if image.dtype == jnp.uint8:
      image = image.astype(jnp.float32) / 255
    steps = self.stages(self.size or image.shape[0])
    keys = jax.random.split(key, len(steps))
    image = steps[0](keys[0], image, valid_size)
    for key, step in zip(keys[1:], steps[1:], strict=True):
      image = step(key, image)
    return self._normalize(jnp.clip(image, 0, 1))

  def box(self, key: jax.Array, shape: tuple[int, int],
          valid_size: jax.Array | None = None) -> crop.Box:
    """Returns the part of an image that a call with the same key shows.

    Stages after the first one may still move it, as flips and `PadCrop` do.

    Args:
      key: a PRNG key.
      shape: height and width of the image's array.
      valid_size: int [2], as in a call.
    """
    steps = self.stages(self.size or shape[0])
    height, width = shape if valid_size is None else valid_size
    view = shape if self.size is None else (self.size, self.size)
    key = jax.random.split(key, len(steps))[0]
    return steps[0].box(key, height, width, view[1] / view[0])

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
  """Crops, flips, distorts colours and blurs (Chen et al. 2020, appendix A)."""
  sampler: str = parameters.sampler()
  area: Range = parameters.area()
  ratio: Range = parameters.ratio()
  method: str = parameters.method()
  antialias: bool = parameters.antialias()
  flip_p: float = parameters.probability(0.5, 'a left-right flip')
  strength: float = parameters.strength()
  style: str = parameters.style()
  color_p: float = parameters.probability(0.8, 'colour jitter')
  gray_p: float = parameters.probability(0.2, 'a conversion to grey, after the jitter')
  blur: float | None = parameters.probability(
      None, 'blur; None is 0 for views of up to 32 pixels, as for CIFAR, and 0.5 for '
      'larger ones')
  sigma: Range = parameters.sigma()
  solarize: float = parameters.probability(
      0.0, 'solarization after the blur, which inverts values from 0.5 up (BYOL)')

  def stages(self, size):
    blur = (0.5 if size > 32 else 0.0) if self.blur is None else self.blur
    color = stages.Color(self.strength, self.style, self.color_p, self.gray_p)
    return (
        first_stages.RandomCrop(self.size, self.method, self.antialias, self.sampler,
                                self.area, self.ratio),
        stages.Flip(self.flip_p),
        *([color] if self.strength > 0 else []),
        stages.Blur(blur, self.sigma),
        *([stages.Solarize(self.solarize)] if self.solarize else []))


@dataclasses.dataclass(frozen=True)
class RotNet(Policy):
  """Shifts by up to `pad` pixels and flips (Gidaris et al. 2018, CIFAR-10 code).

  The four rotations are made by the method, not by this recipe. The code of the paper
  normalises with mean (125.3, 123.0, 113.9) / 255 and std (63.0, 62.1, 66.7) / 255.
  """
  pad: int = parameters.pad()
  flip_p: float = parameters.probability(0.5, 'a left-right flip')

  def stages(self, size):
    return (first_stages.CenterCrop(self.size), stages.PadCrop(self.pad),
            stages.Flip(self.flip_p))


@dataclasses.dataclass(frozen=True)
class Plain(Policy):
  """Resizes a central crop, without augmentation, for evaluation.

  Images that already have the size and are not cropped do not change.
  """
  method: str = parameters.method()
  antialias: bool = parameters.antialias()
  proportion: float | None = config.field(
      None, above=0, high=1, doc="Sides of the crop as a fraction of the image's; None "
      "is 1 for views of up to 32 pixels and 0.875 for larger ones, as in google's "
      'SimCLR')

  def stages(self, size):
    kept = self.proportion
    if kept is None:
      kept = 0.875 if size > 32 else 1.0
    return (first_stages.CenterCrop(self.size, self.method, self.antialias, kept),)


@dataclasses.dataclass(frozen=True)
class Compose(Policy):
  """Applies any operations in any order, for ablations."""
  ops: tuple[Any, ...] = config.field(
      ('crop', 'flip'),
      doc=f'Names of operations ({", ".join(stages.BY_NAME)}), or pairs of a name and '
      "a dict of its fields: ('crop', ('color', {'strength': 0.5}))")

  def __post_init__(self):
    # Policies are compared and hashed, and a dict is not hashable.
    object.__setattr__(self, 'ops', tuple(
        (op, ()) if isinstance(op, str) else (op[0], _items(op[1]))
        for op in self.ops))
    super().__post_init__()

  def stages(self, size):
    made = tuple(
        config.build(errors.lookup('config.augment.ops', name, stages.BY_NAME),
                     dict(fields), f'augment.{name}')
        for name, fields in self.ops)
    if made and isinstance(made[0], first_stages.FirstStage):
      return (dataclasses.replace(made[0], size=self.size), *made[1:])
    return (first_stages.CenterCrop(self.size), *made)


def _items(fields: Any) -> tuple[tuple[str, Any], ...]:
  if isinstance(fields, Mapping):
    fields = fields.items()
  return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in fields)


_BYOL = {'style': 'byol', 'sampler': 'byol', 'strength': 0.5}
# The class of each recipe, with the defaults of the recipe.
RECIPES = {
    'simclr_v1': functools.partial(SimCLR, style='simclr_v1'),
    'simclr_v2': functools.partial(SimCLR, style='simclr_v2'),
    'torchvision': functools.partial(SimCLR, style='torchvision', sampler='torchvision',
                                     method='bilinear', antialias=True),
    'byol_view1': functools.partial(SimCLR, **_BYOL, blur=1.0, solarize=0.0),
    'byol_view2': functools.partial(SimCLR, **_BYOL, blur=0.1, solarize=0.2),
    'crop_flip': functools.partial(SimCLR, strength=0.0, blur=0.0),
    'rotnet': RotNet,
    'none': Plain,
    'compose': Compose,
}
# The section `augment` of a config. `per_crop` and `evaluation` take it parsed.
SECTION = config.Section(RECIPES, key='recipe', variants='views')


def build(recipe: str, /, **overrides: Any) -> Policy:
  """Builds the policy of a recipe.

  * simclr_v1: google's SimCLR with additive brightness, as in the first paper.
  * simclr_v2: google's SimCLR with multiplicative brightness, the default of its code
    since version 2.
  * torchvision: SimCLR as lightly and solo-learn implement it, with other crops,
    contrast and saturation. (The blur is google's.)
  * byol_view1, byol_view2: the two views of BYOL (Grill et al. 2020,
    arXiv:2006.07733, table 6), as deepmind-research's code applies them: its own
    crops, additive brightness, half the change of saturation; blur with probability 1
    and 0.1, solarization with probability 0 and 0.2.
  * crop_flip: random crops and flips, for linear evaluation and fine-tuning.
  * rotnet: shifts and flips.
  * none: a central crop, for evaluation.
  * compose: any operations, for ablations.

  Args:
    recipe: one of these names.
    **overrides: fields of the recipe's class, with their values.

  Raises:
    errors.UserError: the recipe or a field is unknown, or a value is out of range.
  """
  return config.build(errors.lookup('config.augment.recipe', recipe, RECIPES),
                      overrides, 'augment')


def per_crop(augment: Policy | config.Variants,
             num_crops: int | None) -> tuple[Policy, ...]:
  """Returns the policy of every crop of an image.

  Without `views`, the section `augment` is one recipe with overrides of its fields, for
  all crops. With `views`, the section holds the fields that all crops share, and
  `views` holds the fields that differ, by names of your choice:
  `dict(size=224, views=dict(view1=dict(recipe='byol_view1'),
  view2=dict(recipe='byol_view2')))`. Views are sorted by name, and `count` repeats a
  view. Views may differ in `size`, but not in `mean` and `std`.

  Args:
    augment: the parsed section; see `SECTION`.
    num_crops: the number of crops that the method needs; None takes as many as `views`
      names.

  Returns:
    `num_crops` policies.

  Raises:
    errors.UserError: the number of views differs from `num_crops`, or their
      normalisations differ.
  """
  if isinstance(augment, Policy):
    if num_crops is None:
      raise errors.UserError(
          'config.augment.views is missing, and this method makes as many crops as it '
          "names; set it, for example to dict(large=dict(size=32, count=2), "
          'small=dict(size=16, count=4))')
    return (augment,) * num_crops
  shared = evaluation(augment)
  made = []
  for name, policy in augment.made.items():
    for field in ('mean', 'std'):
      if getattr(policy, field) != getattr(shared, field):
        raise errors.UserError(
            f'config.augment.views.{name}.{field} is set, but views share their '
            f'normalisation; set config.augment.{field}')
    made += [policy] * augment.counts[name]
  if num_crops is not None and len(made) != num_crops:
    raise errors.UserError(
        f'config.augment.views has {len(made)} views ({", ".join(augment.made)}), '
        f'but this method makes {num_crops} of an image; give {num_crops} views')
  return tuple(made)


def evaluation(augment: Policy | config.Variants) -> Policy:
  """Returns the policy without augmentation, of the same size and normalisation.

  Args:
    augment: the parsed section, see `SECTION`.
  """
  known = vars(augment) if isinstance(augment, Policy) else augment.shared
  return build('none', **{name: known[name] for name in ('size', 'mean', 'std')
                          if name in known})
