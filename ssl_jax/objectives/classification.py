"""Computes softmax cross-entropy and accuracy of examples that may have no label."""

import jax
import jax.numpy as jnp


def softmax_cross_entropy(logits: jax.Array, labels: jax.Array, *,
                          label_smoothing: float = 0.0) -> jax.Array:
  """Computes the mean of -log p(label) over the labelled examples.

  Args:
    logits: [B, C] of any float type; the computation is float32.
    labels: int [B], in [0, C), or -1 for an example without label.
    label_smoothing: s in [0, 1). The target is 1-s on the label plus s/C on every
      class (Szegedy et al. 2015, arXiv:1512.00567, section 7).

  Returns:
    A float32 scalar; 0 if no example is labelled.
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
  target = _at_label(log_p, labels)
  if label_smoothing:
    target = (1 - label_smoothing) * target + label_smoothing * log_p.mean(-1)
  return -_labelled_mean(target, labels)


def accuracy(logits: jax.Array, labels: jax.Array, *, k: int = 1) -> jax.Array:
  """Computes the fraction of labelled examples whose label has one of the top logits.

  Equal logits are ranked by class id, the lowest first, as in `argmax`. So a model
  with constant logits scores like one that always predicts class 0. NaN ranks before
  every number, so a model that diverged scores 0.

  Args:
    logits: [B, C] of any float type.
    labels: int [B], in [0, C), or -1 for an example without label.
    k: number of the largest logits that count as a hit; 1 is top-1 accuracy.

  Returns:
    A float32 scalar in [0, 1]; 0 if no example is labelled.
  """
  label = _at_label(logits, labels)[:, None]
  lower_class = jnp.arange(logits.shape[-1])[None] < labels[:, None]
  ahead = ~(logits <= label) | (logits == label) & lower_class
  return _labelled_mean((ahead.sum(-1) < k).astype(jnp.float32), labels)


def _at_label(x: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns x[i, labels[i]] for each i, or 0 without a label.

  It avoids a gather, for which XLA would exchange data between devices.
  """
  chosen = labels[:, None] == jnp.arange(x.shape[-1])[None]
  return jnp.where(chosen, x, 0).sum(-1)


def _labelled_mean(x: jax.Array, labels: jax.Array) -> jax.Array:
  # The count is float32 like the other sums over devices, so that XLA combines them in
  # one all-reduce.
  labelled = labels >= 0
  count = labelled.sum(dtype=jnp.float32)
  return jnp.where(labelled, x, 0).sum() / jnp.maximum(count, 1)
