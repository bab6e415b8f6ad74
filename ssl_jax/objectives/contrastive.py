"""NT-Xent: which row of the global batch is the other view of this one?

Rows 2i and 2i+1 are the two views of image i. Functions are written as for one
device: under `jit`, with rows sharded, the embeddings are gathered once and each
device keeps the logits of its own rows.
"""

import jax
import jax.numpy as jnp

from ssl_jax import errors

SIMILARITIES = {
    'cosine': 'of embeddings scaled to unit length',
    'dot': 'of embeddings as they are',
}
SCALES = {
    'paper': 1.0,   # a mean over the 2N rows
    'google': 2.0,  # the sum of a mean over first and one over second views
}


def nt_xent(z: jax.Array, temperature: float, *, similarity: str = 'cosine',
            scale: str = 'paper') -> jax.Array:
  """Computes the normalised temperature-scaled cross-entropy (NT-Xent).

  Chen et al. 2020, arXiv:2002.05709, equation 1 and algorithm 1. Each row is
  classified among the 2N-1 others. If all embeddings are equal, the loss is
  log(2N-1) in the paper's scale.

  Args:
    z: [2N, D] of any float type, views interleaved; computed in float32.
    temperature: tau, positive; similarities are divided by it.
    similarity: a key of `SIMILARITIES`.
    scale: a key of `SCALES`. 'google' is twice the paper's loss, as
      google-research/simclr computes it. LARS does not see the difference, Adam
      hardly; for SGD it is a factor in the learning rate.

  Returns:
    The loss, a float32 scalar.

  Raises:
    errors.UserError: `temperature`, `similarity` or `scale` is not accepted.
  """
  factor = errors.lookup('scale', scale, SCALES)
  z = embed(z, similarity)
  logits = _logits(z, z, temperature)
  itself = jnp.eye(len(logits), dtype=bool)
  log_total = jax.nn.logsumexp(jnp.where(itself, -jnp.inf, logits), axis=-1)
  first, second = jnp.unstack(pairs(z), axis=1)
  positive = (first * second).sum(-1) / temperature
  return factor * (log_total.mean() - positive.mean())


def contrastive_metrics(z: jax.Array, temperature: float, *,
                        similarity: str = 'cosine') -> dict[str, jax.Array]:
  """Measures how well first views find their second views.

  Only the N second views compete, where the loss has 2N-2 negatives: chance is
  1/N, and the cost a quarter of the loss' forward pass.

  Args:
    z, temperature, similarity: as for `nt_xent`.

  Returns:
    float32 scalars 'contrastive_accuracy' in [0, 1] and 'contrastive_entropy',
    of the predictions, in nats, from 0 to log N.

  Raises:
    errors.UserError: as `nt_xent`.
  """
  first, second = jnp.unstack(pairs(embed(z, similarity)), axis=1)
  logits = _logits(first, second, temperature)
  log_p = jax.nn.log_softmax(logits)
  return {
      'contrastive_accuracy': jnp.mean(logits.argmax(-1) == jnp.arange(len(logits))),
      'contrastive_entropy': -(jnp.exp(log_p) * log_p).sum(-1).mean(),
  }


def embed(z: jax.Array, similarity: str) -> jax.Array:
  """float32, of unit length where the similarity is the cosine."""
  errors.lookup('similarity', similarity, SIMILARITIES)
  if z.shape[0] % 2:
    raise ValueError(f'views come in pairs, but there are {z.shape[0]} rows')
  if z.shape[0] < 4:
    raise errors.UserError(
        f'there are {z.shape[0]} embeddings, the two views of one image, so NT-Xent '
        'has no negatives; use config.feed.batch_size=2 or more')
  return z.astype(jnp.float32) if similarity == 'dot' else unit(z)


def unit(z: jax.Array) -> jax.Array:
  """Scales each row of [N, D] to unit length, in float32."""
  z = z.astype(jnp.float32)
  squared = jnp.square(z).sum(-1, keepdims=True)
  return z * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))


def pairs(z: jax.Array) -> jax.Array:
  """[2N, D] -> [N, 2, D]: each image's views, without leaving their device."""
  return z.reshape(-1, 2, z.shape[-1])


def _logits(a: jax.Array, b: jax.Array, temperature: float) -> jax.Array:
  """[Na, Nb] similarities, divided by the temperature."""
  check_temperature(temperature)
  # By default GPUs round factors to 10 bits and TPUs to 8; 1/tau magnifies that.
  return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST) / temperature


def check_temperature(temperature: float) -> None:
  """Raises `errors.UserError` unless it is positive."""
  if temperature <= 0:
    raise errors.UserError(
        f'temperature is {temperature}; it must be positive, for example 0.5')
