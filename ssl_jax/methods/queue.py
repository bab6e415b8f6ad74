"""Functions on a queue of embeddings of earlier images, newest first."""

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.objectives import contrastive
from ssl_jax.parallel import mesh as mesh_lib


def start(key: jax.Array, size: int, dim: int) -> jax.Array:
  """Draws a queue of random directions, float32 [size, dim].

  Args:
    key: the random key.
    size: number of embeddings.
    dim: width of an embedding.
  """
  return contrastive.unit(jax.random.normal(key, (size, dim)))


def push(queue: jax.Array, embeddings: jax.Array) -> jax.Array:
  """Puts embeddings [N, D] in front of a queue, whose oldest ones leave it.

  Args:
    queue: float32 [K, D].
    embeddings: [N, D] of any float type, scaled to unit length here.

  Raises:
    errors.UserError: the queue is shorter than what is put into it.
  """
  if len(embeddings) > len(queue):
    raise errors.UserError(
        f'config.method.queue_size is {len(queue)}, but a batch adds '
        f'{len(embeddings)} embeddings; use --config.method.queue_size='
        f'{len(embeddings)} or more')
  # Every device holds the whole queue. Without the gathering, the partitioner would
  # divide the new queue and gather all of it.
  new = mesh_lib.all_gather(contrastive.unit(jax.lax.stop_gradient(embeddings)))
  return jnp.concatenate([new, queue[:len(queue) - len(new)]])
