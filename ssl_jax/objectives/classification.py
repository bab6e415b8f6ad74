"""Softmax cross-entropy and accuracy, where some rows may have no label."""

import jax
import jax.numpy as jnp


def softmax_cross_entropy(logits: jax.Array, labels: jax.Array, *,
                          label_smoothing: float = 0.0) -> jax.Array:
  """Mean of -log p(label) over the labelled rows.

  Args:
    logits: [B, C] of any float type; computed in float32.
    labels: int [B], in [0, C), or -1 for a row without label.
    label_smoothing: s in [0, 1): the target is 1-s on the label plus s/C on
      every class (Szegedy et al. 2015, arXiv:1512.00567, section 7).

  Returns:
    A float32 scalar; 0 where no row is labelled.
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
  target = _at_label(log_p, labels)
  if label_smoothing:
    target = (1 - label_smoothing) * target + label_smoothing * log_p.mean(-1)
  return -_labelled_mean(target, labels)


def accuracy(logits: jax.Array, labels: jax.Array, *, k: int = 1) -> jax.Array:
  """Computes the share of labelled rows whose label is among the k largest logits.

  Equal logits are ranked by class, the lower one first as in `argmax`, so a constant
  model scores like one that always predicts class 0. NaN ranks before everything: a
  diverged model scores 0.

  Args:
    logits: [B, C] of any float type.
    labels: int [B], in [0, C), or -1 for a row without label.
    k: 1 for top-1.

  Returns:
    A float32 scalar in [0, 1]; 0 where no row is labelled.
  """
  label = _at_label(logits, labels)[:, None]
  lower_class = jnp.arange(logits.shape[-1])[None] < labels[:, None]
  ahead = ~(logits <= label) | (logits == label) & lower_class
  return _labelled_mean((ahead.sum(-1) < k).astype(jnp.float32), labels)


def _at_label(x: jax.Array, labels: jax.Array) -> jax.Array:
  """x[i, labels[i]] without a gather, which would not stay on its shard; or 0."""
  chosen = labels[:, None] == jnp.arange(x.shape[-1])[None]
  return jnp.where(chosen, x, 0).sum(-1)


def _labelled_mean(x: jax.Array, labels: jax.Array) -> jax.Array:
  # Counted in float32, as the other sums that devices send to each other at once.
  labelled = labels >= 0
  rows = labelled.sum(dtype=jnp.float32)
  return jnp.where(labelled, x, 0).sum() / jnp.maximum(rows, 1)
