"""Computes NT-Xent, which classifies each view by its other view in the global batch.

Rows 2i and 2i+1 are the two views of image i. Functions are written as for one
device. Under `jit` with sharded rows, the embeddings are gathered once and each
device holds the logits of its own rows.
"""

import jax
import jax.numpy as jnp

from ssl_jax import errors

SIMILARITIES = {
    'cosine': 'of embeddings scaled to unit length',
    'dot': 'of embeddings that are not scaled',
}
SCALES = {
    'paper': 1.0,   # the mean over all 2N views
    'google': 2.0,  # the sum of the mean over first views and that over second views
}


def nt_xent(z: jax.Array, temperature: float, *, similarity: str = 'cosine',
            scale: str = 'paper', decoupled: bool = False) -> jax.Array:
  """Computes the normalised temperature-scaled cross-entropy (NT-Xent).

  It is the loss of Chen et al. 2020, arXiv:2002.05709, equation 1 and algorithm 1.
  Each view is classified among the 2N-1 others. If all embeddings are equal, the loss
  is log(2N-1) in the paper's scale.

  Args:
    z: embeddings, [2N, D] of any float type, views interleaved. The computation is
      float32.
    temperature: tau, positive; similarities are divided by it.
    similarity: a key of `SIMILARITIES`.
    scale: a key of `SCALES`. 'google' is twice the paper's loss, as
      google-research/simclr computes it. The factor does not change updates by LARS,
      hardly changes those by Adam, and multiplies the learning rate of SGD.
    decoupled: True leaves the other view of the same image out of the sum in the
      denominator, as Yeh et al. 2021 do (DCL, arXiv:2110.06848, equation 6). The loss
      of equal embeddings is then log(2N-2).

  Returns:
    The loss, a float32 scalar.

  Raises:
    errors.UserError: `temperature`, `similarity` or `scale` is not accepted.
  """
  factor = errors.lookup('scale', scale, SCALES)
  z = embed(z, similarity)
  logits = logits_of(z, z, temperature)
  left_out = jnp.eye(len(logits), dtype=bool)
  if decoupled:  # rows 2i and 2i+1 swapped: the other view
    left_out |= pairs(left_out)[:, ::-1].reshape(left_out.shape)
  log_total = jax.nn.logsumexp(jnp.where(left_out, -jnp.inf, logits), axis=-1)
  first, second = jnp.unstack(pairs(z), axis=1)
  positive = (first * second).sum(-1) / temperature
  return factor * (log_total.mean() - positive.mean())


def contrastive_metrics(z: jax.Array, temperature: float, *,
                        similarity: str = 'cosine') -> dict[str, jax.Array]:
  """Measures how well first views find their second views.

  Each first view is classified among the N second views, while the loss has 2N-2
  negatives. So chance level is 1/N, and the cost is a quarter of the loss' forward
  pass.

  Args:
    z: embeddings, [2N, D] of any float type, views interleaved.
    temperature: tau, positive; similarities are divided by it.
    similarity: a key of `SIMILARITIES`.

  Returns:
    Float32 scalars: 'contrastive_accuracy' in [0, 1], and 'contrastive_entropy', the
    mean entropy of the predictions in nats, from 0 to log N.

  Raises:
    errors.UserError: `temperature` or `similarity` is not accepted.
  """
  first, second = jnp.unstack(pairs(embed(z, similarity)), axis=1)
  logits = logits_of(first, second, temperature)
  log_p = jax.nn.log_softmax(logits)
  return {
      'contrastive_accuracy': jnp.mean(logits.argmax(-1) == jnp.arange(len(logits))),
      'contrastive_entropy': -(jnp.exp(log_p) * log_p).sum(-1).mean(),
  }


def embed(z: jax.Array, similarity: str) -> jax.Array:
  """Converts embeddings [2N, D] to float32, of unit length for the cosine similarity.

  Args:
    z: embeddings, [2N, D] of any float type.
    similarity: a key of `SIMILARITIES`.

  Raises:
    errors.UserError: `similarity` is not accepted, or the batch has only one image.
    ValueError: the number of rows is odd.
  """
  errors.lookup('similarity', similarity, SIMILARITIES)
  if z.shape[0] % 2:
    raise ValueError(f'embeddings have {z.shape[0]} rows; each image needs two views')
  if z.shape[0] < 4:
    raise errors.UserError(
        f'a batch has {z.shape[0]} embeddings, the two views of one image, so NT-Xent '
        'has no negatives; use config.feed.batch_size=2 or more')
  return z.astype(jnp.float32) if similarity == 'dot' else unit(z)


def unit(z: jax.Array) -> jax.Array:
  """Scales each row of [N, D] to unit length, in float32."""
  z = z.astype(jnp.float32)
  squared = jnp.square(z).sum(-1, keepdims=True)
  return z * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))


def pairs(z: jax.Array) -> jax.Array:
  """Reshapes [2N, D] to [N, 2, D], the two views of each image.

  Both views of an image are on the same device, so no data are exchanged.
  """
  return z.reshape(-1, 2, z.shape[-1])


def logits_of(a: jax.Array, b: jax.Array, temperature: float) -> jax.Array:
  """Computes products of rows, float32 [Na, Nb], divided by the temperature.

  Args:
    a: float32 [Na, D].
    b: float32 [Nb, D].
    temperature: positive.

  Raises:
    errors.UserError: `temperature` is not positive.
  """
  check_temperature(temperature)
  # By default GPUs round factors to 10 bits and TPUs to 8, and 1/tau multiplies that
  # error.
  return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST) / temperature


def check_temperature(temperature: float) -> None:
  """Raises `errors.UserError` unless the temperature is positive."""
  if temperature <= 0:
    raise errors.UserError(
        f'temperature is {temperature}; it must be positive, for example 0.5')
