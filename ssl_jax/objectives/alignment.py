"""Computes losses that align the prediction of one view with the other view.

Rows 2i and 2i+1 are the two views of image i. These losses do not compare different
images, so the predictor and the stopped gradient must prevent constant embeddings.
"""

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive


def normalized_regression(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes BYOL's loss, the symmetric squared distance of unit vectors.

  It is that of Grill et al. 2020, arXiv:2006.07733, equation 2, with the symmetric
  term below it: 2 - 2 cos of the prediction of view 1 and the target of view 2, plus
  the same with the views swapped, averaged over images. `targets` get no gradient.

  Args:
    predictions: q(z), the predictions of the online network for both views, [2N, D]
      of any float type.
    targets: z', the projections of the target network for both views, [2N, D].

  Returns:
    A float32 scalar in [0, 8].
  """
  return 4 - 4 * _cosine_with_other_view(predictions, targets).mean()


def negative_cosine(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes SimSiam's loss, the negative cosine similarity, averaged over views.

  It is that of Chen & He 2021, arXiv:2011.10566, equations 1 to 4. `targets` get no
  gradient.

  Args:
    predictions: p, the predictions for both views, [2N, D] of any float type.
    targets: z, the projections of both views, [2N, D].

  Returns:
    A float32 scalar in [-1, 1].
  """
  return -_cosine_with_other_view(predictions, targets).mean()


def squared_distance(features: jax.Array, targets: jax.Array) -> jax.Array:
  """Computes the squared distance of unit vectors, 2 - 2 cos, averaged over views.

  Rows with the same index are compared, which are features of the same view.

  Args:
    features: [N, D] of any float type.
    targets: [N, D]; they get no gradient.

  Returns:
    A float32 scalar in [0, 4].
  """
  targets = jax.lax.stop_gradient(contrastive.unit(targets))
  return 2 - 2 * (contrastive.unit(features) * targets).sum(-1).mean()


def spread(z: jax.Array) -> jax.Array:
  """Measures how far embeddings are from collapse.

  The measure is the standard deviation of each channel of the unit vectors, averaged
  over channels and multiplied by sqrt(D). It is 0 if all embeddings are equal and 1 if
  their directions are uniformly distributed. (arXiv:2011.10566, section 4.1, has it
  without the factor sqrt(D).)

  Args:
    z: embeddings, [N, D] of any float type.

  Returns:
    A float32 scalar in [0, 1].
  """
  z = jax.lax.stop_gradient(contrastive.unit(z))
  return z.std(0).mean() * jnp.sqrt(jnp.float32(z.shape[-1]))


def _cosine_with_other_view(predictions: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the cosine of prediction v of each image with target 1 - v, [N, 2]."""
  p, z = (contrastive.pairs(contrastive.unit(x)) for x in (predictions, targets))
  return (p * jax.lax.stop_gradient(z)[:, ::-1]).sum(-1)
