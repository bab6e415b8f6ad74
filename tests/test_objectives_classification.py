import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import classification


def example(rows=6, classes=5, seed=0):
  rng = np.random.default_rng(seed)
  return (rng.normal(size=(rows, classes)).astype(np.float32),
          rng.integers(classes, size=rows).astype(np.int32))


def by_hand(logits, labels, smoothing=0.0):
  """Computes the loss of labelled rows one by one, in float64."""
  losses = []
  for x, label in zip(np.asarray(logits, np.float64), labels, strict=True):
    if label < 0:
      continue
    p = np.exp(x) / np.exp(x).sum()
    target = np.full(len(x), smoothing / len(x))
    target[label] += 1 - smoothing
    losses.append(-(target * np.log(p)).sum())
  return np.mean(losses)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_loss_by_hand_ignores_unlabelled_rows(smoothing):
  logits, every_label = example()
  for labels in (every_label, np.where(np.arange(6) % 3, every_label, -1)):
    got = classification.softmax_cross_entropy(
        logits, jnp.asarray(labels), label_smoothing=smoothing)
    assert got.dtype == jnp.float32 and got.shape == ()
    np.testing.assert_allclose(got, by_hand(logits, labels, smoothing), rtol=1e-5)


def test_gradient_is_softmax_minus_one_hot():
  logits, labels = example()
  labels[2] = -1
  got = jax.grad(classification.softmax_cross_entropy)(logits, jnp.asarray(labels))
  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  expected = (p - np.eye(5)[labels]) / 5
  expected[2] = 0
  np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_constant_model_of_four_rotations_costs_log_4():
  loss = classification.softmax_cross_entropy(jnp.zeros((8, 4)), jnp.arange(8) % 4)
  np.testing.assert_allclose(loss, math.log(4), rtol=1e-6)


def test_large_logits_and_bfloat16():
  logits = jnp.array([[1e4, 0], [0, 1e4]], jnp.bfloat16)
  labels = jnp.array([0, 0])
  loss = classification.softmax_cross_entropy(logits, labels)
  assert loss.dtype == jnp.float32
  np.testing.assert_allclose(loss, float(logits[0, 0]) / 2)


def test_no_labels_at_all():
  logits, labels = jnp.ones((3, 4)), jnp.full(3, -1)
  loss, grad = jax.value_and_grad(classification.softmax_cross_entropy)(
      logits, labels)
  assert loss == 0 and not grad.any()
  assert classification.accuracy(logits, labels) == 0


@pytest.mark.parametrize('k', [1, 2, 5])
def test_top_k_by_sorting(k):
  logits, labels = example(rows=50)
  logits = np.round(logits)  # many ties
  labels[::7] = -1
  order = np.argsort(-logits, axis=1, kind='stable')[:, :k]
  expected = np.mean([label in row for label, row in zip(labels, order, strict=True)
                      if label >= 0])
  got = classification.accuracy(jnp.asarray(logits), jnp.asarray(labels), k=k)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_constant_model_scores_its_share_of_class_0():
  labels = jnp.array([0, 1, 2, 3])
  logits = jnp.zeros((4, 4))
  assert classification.accuracy(logits, labels) == 0.25
  assert classification.accuracy(logits, labels, k=3) == 0.75


def test_a_diverged_model_scores_0():
  labels = jnp.array([0, 1])
  assert classification.accuracy(jnp.full((2, 3), jnp.nan), labels) == 0
