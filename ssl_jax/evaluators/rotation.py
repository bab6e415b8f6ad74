"""Accuracy at RotNet's own task: every image in all the turns its head knows.

Gidaris et al. 2018, arXiv:1803.07728, section 4.1.1.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp

from ssl_jax.augment import geometry
from ssl_jax.evaluators import own_head


@dataclasses.dataclass(frozen=True)
class Rotation(own_head.Classifier):
  """Scores endpoint 'logits' of the batches that `expand` makes."""
  protocol: ClassVar[str] = 'rotations told apart, all of every image'


def names(turns: tuple[int, ...]) -> tuple[str, ...]:
  """Returns the names of the classes, in degrees."""
  return tuple(f'{90 * turn} degrees' for turn in turns)


def expand(batches: Iterable[Mapping[str, jax.Array]],
           turns: tuple[int, ...]) -> Iterator[dict[str, jax.Array]]:
  """Turns images before they are encoded; the turn replaces the label.

  Args:
    batches: as of `data.feed.eval_batches`.
    turns: V quarter turns, counter-clockwise.

  Yields:
    Batches of B * V rows; row i * V + v is image i turned by `turns[v]`, its label
    is v and its mask that of the image.

  Raises:
    errors.UserError: the images are not square.
  """
  for batch in batches:
    yield _expand(dict(batch), tuple(turns))


@functools.partial(jax.jit, static_argnames='turns')
def _expand(batch, turns):
  labels = jnp.arange(len(turns), dtype=jnp.int32)
  out = {'image': geometry.rotate_all(batch['image'], turns),
         'label': jnp.tile(labels, len(batch['image'])),
         'mask': jnp.repeat(batch['mask'], len(turns))}
  return _realigned(out, batch['valid_size'], turns) if 'valid_size' in batch else out


def _realigned(out, valid_size, turns):
  """Moves images back to the top left of their canvas, which was turned with them."""
  # Below and to the right of the image, before it is turned.
  below, right = out['image'].shape[1] - valid_size.T
  zero = jnp.zeros_like(below)
  moved = jnp.array([[zero, zero], [right, zero], [below, right], [zero, below]])
  size = jnp.array([valid_size.T, valid_size.T[::-1]] * 2)
  # [4, 2, B] -> [B * V, 2]
  moved, size = (x[jnp.array(turns)].transpose(2, 0, 1).reshape(-1, 2)
                 for x in (moved, size))
  roll = jax.vmap(lambda image, by: jnp.roll(image, -by, (0, 1)))
  return out | {'image': roll(out['image'], moved), 'valid_size': size}
