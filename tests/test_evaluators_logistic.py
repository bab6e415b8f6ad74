"""Tests logistic regression against scikit-learn and a closed form."""

import numpy as np
import pytest
from sklearn import linear_model, metrics, preprocessing

from ssl_jax import errors
from ssl_jax.evaluators import features, logistic


def split(n, seed, classes=4, dim=6):
  """Returns noisy linear classes with features of unequal scale and large means."""
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(n, dim))
  teacher = np.random.default_rng(99).normal(size=(dim, classes))
  y = (x @ teacher + 2 * rng.normal(size=(n, classes))).argmax(1)
  x = x * np.logspace(-0.5, 0.5, dim) + 5
  return features.Features(x.astype(np.float32), y.astype(np.int32))


TRAIN, VALIDATION, TEST = split(150, 0), split(80, 1), split(90, 2)


def theirs(l2, data):
  # Newton's method, to be independent of L-BFGS as well.
  model = linear_model.LogisticRegression(
      C=1 / l2, solver='newton-cholesky', tol=1e-10, max_iter=1000)
  return model.fit(data.features.astype(np.float64), data.labels)


def probabilities(logits):
  p = np.exp(logits - logits.max(1, keepdims=True))
  return p / p.sum(1, keepdims=True)


def test_agrees_with_scikit_learn():
  strengths = [1e3, 30., 1., 0.03, 1e-3]
  heads = logistic.Logistic().fit(TRAIN, 4, strengths)
  for l2, (head, steps) in zip(strengths, heads, strict=True):
    want = theirs(l2, TRAIN)
    np.testing.assert_allclose(head.kernel, want.coef_.T, atol=3e-3)
    logits = head(TEST.features)
    np.testing.assert_allclose(
        probabilities(logits), want.predict_proba(TEST.features), atol=5e-4)
    assert (logits.argmax(1) == TEST.labels).mean() == want.score(
        TEST.features, TEST.labels)
    assert 1 < steps < 1000


def test_each_strength_starts_from_the_stronger_one():
  heads = logistic.Logistic().fit(TRAIN, 4, [1., 0.5])
  (_, cold), = logistic.Logistic().fit(TRAIN, 4, [0.5])
  assert heads[1][1] < cold


def test_standardised_agrees_with_scikit_learn():
  scaler = preprocessing.StandardScaler().fit(TRAIN.features.astype(np.float64))
  scaled = lambda s: features.Features(scaler.transform(s.features), s.labels)
  want = theirs(20., scaled(TRAIN)).predict_proba(scaled(TEST).features)
  (head, _), = logistic.Logistic(standardise=True).fit(TRAIN, 4, [20.])
  np.testing.assert_allclose(probabilities(head(TEST.features)), want, atol=1e-3)
  (raw, _), = logistic.Logistic().fit(TRAIN, 4, [20.])
  assert np.abs(probabilities(raw(TEST.features)) - want).max() > 0.01


def test_an_infinite_penalty_leaves_the_class_frequencies():
  (head, _), = logistic.Logistic(tolerance=1e-7).fit(TRAIN, 4, [1e9])
  want = np.bincount(TRAIN.labels) / len(TRAIN.labels)
  np.testing.assert_allclose(
      probabilities(head(TEST.features)), np.tile(want, (90, 1)), atol=1e-4)


def test_separable_classes_end():
  x = np.array([[-1.], [1.]], np.float32)
  data = features.Features(x, np.array([0, 1], np.int32))
  (head, steps), = logistic.Logistic().fit(data, 2, [1e-12])
  assert np.isfinite(head.kernel).all()
  assert steps < 1000


def test_default_strengths_are_those_of_the_protocol():
  strengths = logistic.Logistic().l2
  assert len(strengths) == 45
  np.testing.assert_allclose(np.diff(np.log10(strengths)), 11 / 44)
  np.testing.assert_allclose(strengths[::44], [1e-6, 1e5])


def test_choice_is_the_best_on_validation_and_refitted_on_both():
  evaluate = logistic.Logistic(l2=(1e-3, 1., 1e3))
  result = evaluate(TRAIN, VALIDATION, TEST, 4)
  want = {l2: theirs(l2, TRAIN).score(VALIDATION.features, VALIDATION.labels)
          for l2 in evaluate.l2}
  got = {cell['l2']: cell['validation_top1'] for cell in result['grid']}
  assert got == pytest.approx(want)
  # If several strengths are equally good, the strongest is chosen.
  best = max(want, key=lambda l2: (want[l2], l2))
  assert result['chosen'] == {'l2': best}
  both = features.concatenate(TRAIN, VALIDATION)
  assert result['test']['top1'] == theirs(best, both).score(
      TEST.features, TEST.labels)
  assert result['train']['top1'] == theirs(best, TRAIN).score(
      TRAIN.features, TRAIN.labels)


def test_choice_by_the_mean_of_the_classes():
  """With a rare class the two scores differ, and so do the strengths they choose."""
  rng = np.random.default_rng(4)

  def rare(n):
    y = np.array([0] * 8 + [1] * 11 + [2])[np.arange(n) % 20].astype(np.int32)
    x = rng.normal(size=(n, 6))
    x[:, :2] += 1.5 * np.eye(3)[y][:, 1:]
    return features.Features(x.astype(np.float32), y)

  train, validation, test = rare(120), rare(300), rare(400)
  strengths = (1e-2, 1., 10., 30., 100., 1e3)
  want, chosen = {}, {}
  for score, metric in (('top1', metrics.accuracy_score),
                        ('mean_per_class', metrics.balanced_accuracy_score)):
    want[score] = {l2: metric(validation.labels, theirs(l2, train).predict(
        validation.features)) for l2 in strengths}
    result = logistic.Logistic(l2=strengths, score=score)(train, validation, test, 3)
    got = {cell['l2']: cell[f'validation_{score}'] for cell in result['grid']}
    assert got == pytest.approx(want[score])
    chosen[score] = result['chosen']['l2']
    assert chosen[score] == max(strengths, key=lambda l2: (want[score][l2], l2))
    assert result['score'] == score
    both = features.concatenate(train, validation)
    assert result['test']['mean_per_class'] == pytest.approx(
        metrics.balanced_accuracy_score(
            test.labels, theirs(chosen[score], both).predict(test.features)))
  assert chosen['top1'] != chosen['mean_per_class']


def test_mistakes_are_named():
  with pytest.raises(errors.UserError, match="score is 'f1'; accepted is 'top1' or"):
    logistic.Logistic(score='f1')
  with pytest.raises(errors.UserError, match='45 settings.*no validation split'):
    logistic.Logistic()(TRAIN, None, TEST, 4)
  with pytest.raises(errors.UserError, match='numbers above 0'):
    logistic.Logistic(l2=(0., 1.))


@pytest.mark.parametrize('strengths, lines', [(45, 4), (4, 4), (1, 1)])
def test_progress_is_a_few_lines(caplog, strengths, lines):
  caplog.set_level('INFO')
  data = features.Features(np.eye(3, 2, dtype=np.float32), np.arange(3))
  logistic.Logistic().fit(data, 3, [1.] * strengths)
  assert len(caplog.records) == lines
  assert f'{strengths} of {strengths}' in caplog.text
