"""Measures accuracy in RotNet's pretext task, on all rotations of every image.

The source is Gidaris et al. 2018, arXiv:1803.07728, section 4.1.1.
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
class Rotation(own_head.OwnHead):
  """Evaluation of the endpoint 'logits' on the batches that `expand` yields."""
  protocol: ClassVar[str] = 'prediction of rotations, all rotations of every image'


def names(quarter_turns: tuple[int, ...]) -> tuple[str, ...]:
  """Returns the names of the classes, in degrees."""
  return tuple(f'{90 * k} degrees' for k in quarter_turns)


def expand(batches: Iterable[Mapping[str, jax.Array]],
           quarter_turns: tuple[int, ...]) -> Iterator[dict[str, jax.Array]]:
  """Rotates images before they are encoded; the rotation replaces the label.

  Args:
    batches: batches of `data.feed.eval_batches`, each of B images.
    quarter_turns: V numbers of quarter turns, counter-clockwise.

  Yields:
    Batches of B * V images. Image i * V + v is image i rotated by
    `quarter_turns[v]`, with the label v and the mask of image i.

  Raises:
    errors.UserError: the images are not square.
  """
  for batch in batches:
    yield _expand(dict(batch), tuple(quarter_turns))


@functools.partial(jax.jit, static_argnames='quarter_turns')
def _expand(batch, quarter_turns):
  labels = jnp.arange(len(quarter_turns), dtype=jnp.int32)
  out = {'image': geometry.rotate_all(batch['image'], quarter_turns),
         'label': jnp.tile(labels, len(batch['image'])),
         'mask': jnp.repeat(batch['mask'], len(quarter_turns))}
  if 'valid_size' not in batch:
    return out
  return _realigned(out, batch['valid_size'], quarter_turns)


def _realigned(out, valid_size, quarter_turns):
  """Moves images back to the top left of the canvas, which was rotated with them."""
  # Padding below and to the right of each image, before it is rotated.
  below, right = out['image'].shape[1] - valid_size.T
  zero = jnp.zeros_like(below)
  moved = jnp.array([[zero, zero], [right, zero], [below, right], [zero, below]])
  size = jnp.array([valid_size.T, valid_size.T[::-1]] * 2)
  # [4, 2, B] -> [B * V, 2]
  moved, size = (x[jnp.array(quarter_turns)].transpose(2, 0, 1).reshape(-1, 2)
                 for x in (moved, size))
  roll = jax.vmap(lambda image, by: jnp.roll(image, -by, (0, 1)))
  return out | {'image': roll(out['image'], moved), 'valid_size': size}
