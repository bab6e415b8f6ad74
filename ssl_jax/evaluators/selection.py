"""Chooses the best of several settings by its score on validation images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from ssl_jax import errors
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores

Setting = Mapping[str, float]


class Fitted(NamedTuple):
  """A classifier that was fitted with one setting.

  Attributes:
    head: maps features [N, D] to class scores [N, C].
    facts: further values of the setting's row in the result, such as the steps.
  """
  head: Callable[[np.ndarray], np.ndarray]
  facts: Mapping[str, Any]


# Maps features and settings to one fitted classifier for every setting.
Fit = Callable[[features_lib.Features, Sequence[Setting]], Sequence[Fitted]]


def best(values: Sequence[float | None]) -> int:
  """Returns the index of the highest value; of equal ones the first, None last."""
  return max(range(len(values)),
             key=lambda i: -np.inf if values[i] is None else values[i])


def search(name: str, protocol: str, settings: Sequence[Setting], fit: Fit, *,
           train: features_lib.Features, validation: features_lib.Features | None,
           test: features_lib.Features, score: str, refit: bool) -> dict[str, Any]:
  """Fits a classifier with every setting, and scores the best one on test images.

  Nothing is chosen on the test images.

  Args:
    name: the name of the classifier in messages.
    protocol: the classifier and its optimizer in words, for the result.
    settings: in the order of preference among equals.
    fit: fits the classifiers.
    train: labelled features.
    validation: labelled features; None is accepted for one setting without refit.
    test: labelled features.
    score: the score on validation images that chooses, such as 'top1'.
    refit: whether the chosen setting is fitted again on training and validation
      images, for the test score alone.

  Returns:
    The fields of an evaluator's result.

  Raises:
    errors.UserError: there are no validation images to choose by.
  """
  if validation is None and (len(settings) > 1 or refit):
    raise errors.UserError(
        f'the {name} has {len(settings)} settings and config.protocol.refit={refit}, '
        'but the data have no validation split; set config.data.validation_fraction='
        '0.1, or give a single setting and config.protocol.refit=False')
  fitted = fit(train, settings)
  values = [None if validation is None else score_of(one.head, validation, score)
            for one in fitted]
  chosen = best(values)
  head = final = fitted[chosen].head
  if refit:
    both = features_lib.concatenate(train, validation)
    final = fit(both, [settings[chosen]])[0].head
  return {
      'protocol': f'{protocol}, chosen on validation'
                  + (', refitted on train + validation' if refit else ''),
      'chosen': dict(settings[chosen]), 'score': score,
      'at_edge': at_edge(name, settings[chosen], settings),
      'grid': [{**setting, f'validation_{score}': value, **one.facts}
               for setting, value, one in zip(settings, values, fitted, strict=True)],
      **scores.score_splits(head, train=train, validation=validation),
      'test': scores.score(final(test.features), test.labels)}


def score_of(head: Callable[[np.ndarray], np.ndarray], split: features_lib.Features,
             name: str) -> float:
  """Returns the score `name`, in [0, 1]; 0 for a head that diverged.

  Args:
    head: maps features [N, D] to class scores [N, C].
    split: labelled features.
    name: a key of `scores.score`.
  """
  logits = head(split.features)
  return scores.score(logits, split.labels)[name] if np.isfinite(logits).all() else 0.


def at_edge(what: str, chosen: Mapping[str, float],
            grid: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the names of settings chosen at an end of their range, and logs a warning.

  A better value may exist beyond that end. Ranges of one or two values, and a value of
  0, are never reported.

  Args:
    what: name of the search, for the warning.
    chosen: the chosen values by name, for example {'learning_rate': 0.1}.
    grid: all settings that were tried; only the names in `chosen` are read.
  """
  found = []
  for name, value in chosen.items():
    values = sorted({setting[name] for setting in grid})
    if len(values) > 2 and value and value in (values[0], values[-1]):
      found.append(name)
      logging.warning(
          '%s: the chosen %s, %g, is at the edge of its grid (%g to %g); a wider one '
          'may do better', what, name, value, values[0], values[-1])
  return found
