"""Makes the views of a batch of images."""

import jax
import jax.numpy as jnp

from ssl_jax.augment.policies import Policy


def make(policies: tuple[Policy, ...], key: jax.Array, images: jax.Array,
         dtype: jax.typing.DTypeLike = jnp.float32,
         valid_sizes: jax.Array | None = None) -> jax.Array | list[jax.Array]:
  """Applies V policies to every image, each with its own random key.

  Views of an image are adjacent rows, so that the views of a sharded batch are on the
  device of their image. If the views were concatenated along the batch, they would have
  to move to other devices.

  Args:
    policies: one policy per view.
    key: a PRNG key. Image i gets the same random numbers on any number of devices.
    images: uint8 or float [B, H, W, C].
    dtype: dtype of the result.
    valid_sizes: int [B, 2], the true heights and widths of images on a canvas; None if
      images fill the array.

  Returns:
    [B * V, h, w, C]; row i * V + v is view v of image i. If policies have several
    sizes, it is a list of such arrays, one per size, in the order of the first policy
    of each size; V is then the number of views of that size.

  Raises:
    errors.UserError: a recipe does not accept this number of channels.
  """
  count = len(policies)
  keys = jax.random.split(key, images.shape[0] * count)
  sizes = {}
  for v, policy in enumerate(policies):
    sizes.setdefault(_shape(policy, images), []).append(v)
  made = [_of_one_size([policies[v] for v in chosen],
                       keys if len(sizes) == 1 else
                       keys.reshape(-1, count)[:, jnp.array(chosen)].reshape(-1),
                       images, valid_sizes).astype(dtype) for chosen in sizes.values()]
  return made[0] if len(made) == 1 else made


def _shape(policy: Policy, images: jax.Array) -> tuple[int, ...]:
  return images.shape[1:3] if policy.size is None else (policy.size, policy.size)


def _of_one_size(policies: list[Policy], keys: jax.Array, images: jax.Array,
                 valid_sizes: jax.Array | None) -> jax.Array:
  """Makes views [B * V, h, w, C] of B images by V policies and B * V keys."""
  count = len(policies)
  if len(set(policies)) == 1:
    # One call makes all views, which halves the code to compile and the kernels to
    # launch.
    again = lambda x: jnp.repeat(x, count, axis=0)
    images, valid_sizes = jax.tree.map(again, (images, valid_sizes))
    return jax.vmap(policies[0])(keys, images, valid_sizes)
  made = [jax.vmap(policy)(keys[v::count], images, valid_sizes)
          for v, policy in enumerate(policies)]
  made = jnp.stack(made, axis=1)
  return made.reshape(-1, *made.shape[2:])
