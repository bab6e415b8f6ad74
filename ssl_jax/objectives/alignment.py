"""Objectives that pull the prediction of one view towards the other view.

Rows 2i and 2i+1 are the two views of image i. No row meets another image: the
predictor and the stopped gradient must keep embeddings from becoming constant.
"""

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive


def normalized_regression(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes BYOL's loss: squared distances of unit vectors, both ways round.

  Grill et al. 2020, arXiv:2006.07733, equation 2 and the symmetric loss below it:
  2 - 2 cos of the prediction of view 1 and the target of view 2, plus the same with
  the views swapped, averaged over images. No gradient reaches `targets`.

  Args:
    predictions: q(z) of the online network, [2N, D] of any float type.
    targets: z' of the target network, [2N, D].

  Returns:
    A float32 scalar in [0, 8].
  """
  return 4 - 4 * _cosine_with_other_view(predictions, targets).mean()


def negative_cosine(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes SimSiam's loss: the negative cosine similarity, mean of both ways.

  Chen & He 2021, arXiv:2011.10566, equations 1 to 4. No gradient reaches `targets`.

  Args:
    predictions: p of both views, [2N, D] of any float type.
    targets: z of both views, [2N, D].

  Returns:
    A float32 scalar in [-1, 1].
  """
  return -_cosine_with_other_view(predictions, targets).mean()


def spread(z: jax.Array) -> jax.Array:
  """Measures how far embeddings are from collapse.

  The standard deviation of each channel of the unit vectors, averaged, times
  sqrt(D): 0 where all are equal, 1 where they point everywhere alike
  (arXiv:2011.10566, section 4.1, there without the factor).

  Args:
    z: [N, D] of any float type.

  Returns:
    A float32 scalar in [0, 1].
  """
  z = jax.lax.stop_gradient(contrastive.unit(z))
  return z.std(0).mean() * jnp.sqrt(jnp.float32(z.shape[-1]))


def _cosine_with_other_view(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """[N, 2]: prediction v of an image with its target 1 - v."""
  p, z = (contrastive.pairs(contrastive.unit(x)) for x in (predictions, targets))
  return (p * jax.lax.stop_gradient(z)[:, ::-1]).sum(-1)
