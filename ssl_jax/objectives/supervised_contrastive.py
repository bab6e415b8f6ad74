"""The supervised contrastive loss (SupCon, Khosla et al. 2020, arXiv:2004.11362)."""

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive, tiled


def sup_con(z: jax.Array, labels: jax.Array, temperature: float, *,
            mode: str = 'auto') -> tuple[jax.Array, dict[str, jax.Array]]:
  """Computes the loss L_out (equation 2) and the metrics of NT-Xent.

  All other views of images of the same class are positives, not only the other view of
  the same image. The denominators are those of NT-Xent, so the loss is NT-Xent plus the
  similarity with the other view minus the mean similarity with all positives. That
  needs only a sum of embeddings per class. The loss is a mean over views, without the
  factor tau / tau_base of the authors' code. An image without a label is a class of its
  own.

  Args:
    z: embeddings, [2N, D] of any float type; rows 2i and 2i+1 are views of image i.
    labels: int32 [N], -1 for images without a label.
    temperature: positive; similarities are divided by it.
    mode: a key of `tiled.MODES`.

  Returns:
    A float32 scalar, and the metrics of `contrastive.contrastive_metrics`.

  Raises:
    errors.UserError: `temperature` or `mode` is not accepted.
  """
  loss, metrics = tiled.nt_xent_by_mode(mode, z, temperature)
  pairs = contrastive.pairs(contrastive.unit(z))
  other_view = (pairs[:, 0] * pairs[:, 1]).sum(-1).mean()
  return loss + (other_view - _with_positives(pairs, labels)) / temperature, metrics


def _with_positives(pairs: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns the mean over views of the mean similarity with all positives.

  Args:
    pairs: embeddings of unit length, [N, 2, D].
    labels: int32 [N], -1 for images without a label.
  """
  images = len(labels)
  alone = -1 - jnp.arange(images)
  _, group = jnp.unique(jnp.where(labels < 0, alone, labels), size=images,
                        return_inverse=True)
  add = lambda x: jax.ops.segment_sum(x, group, num_segments=images)[group]
  views, total = 2 * add(jnp.ones((images, 1))), add(pairs.sum(1))
  itself = jnp.square(pairs).sum(-1)
  similarity = (pairs * total[:, None]).sum(-1) - itself
  return (similarity / (views - 1)).mean()
