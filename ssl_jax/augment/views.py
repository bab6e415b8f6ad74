"""The views that policies make of a batch of images."""

import jax
import jax.numpy as jnp

from ssl_jax.augment.policies import Policy


def make(policies: tuple[Policy, ...], key: jax.Array, images: jax.Array,
         dtype: jax.typing.DTypeLike = jnp.float32,
         valid_sizes: jax.Array | None = None) -> jax.Array | list[jax.Array]:
  """Applies V policies to every image, each with a key of its own.

  Views of an image are adjacent, so that a batch which is sharded stays where it
  is; concatenating along the batch would move every view to another device.

  Args:
    policies: one per view.
    key: a PRNG key. Image i gets the same randomness on any number of devices.
    images: uint8 or float [B, H, W, C].
    dtype: of the result.
    valid_sizes: int [B, 2], true heights and widths; see `policies.Policy`.

  Returns:
    [B * V, h, w, C]; row i * V + v is view v of image i. Policies of several sizes
    make a list of such arrays, one per size, in the order in which the sizes come;
    V is then how many views have that size.
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
    # One program for all views: half the code to compile, half the launches.
    again = lambda x: jnp.repeat(x, count, axis=0)
    images, valid_sizes = jax.tree.map(again, (images, valid_sizes))
    return jax.vmap(policies[0])(keys, images, valid_sizes)
  made = [jax.vmap(policy)(keys[v::count], images, valid_sizes)
          for v, policy in enumerate(policies)]
  made = jnp.stack(made, axis=1)
  return made.reshape(-1, *made.shape[2:])
