"""Converts the results of evaluations, as their files hold them, to objects."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ssl_jax.report.study import EvaluationResult, finite


def evaluation_result(record: Mapping[str, Any]) -> EvaluationResult:
  """Converts the content of the result.json of an evaluation.

  Raises:
    ValueError: it holds no accuracy within [0, 1].
  """
  result, test = record['result'], record['result']['test']
  metric = result.get('score') or 'top1'
  for name in ('top1', metric):
    if not (finite(test[name]) and 0 <= test[name] <= 1):
      raise ValueError(name)
  return EvaluationResult(
      top1=float(test['top1']), top5=test.get('top5'),
      mean_per_class=test.get('mean_per_class'),
      per_class=_array(test.get('per_class')),
      confusion=_array(test.get('confusion')),
      images=test.get('n') or 0,
      labelled=(result.get('train') or {}).get('n') or 0,
      protocol=str(result.get('protocol') or ''),
      settings=result.get('chosen') or {},
      searched=len(result.get('grid') or ()) > 1,
      class_names=tuple(str(n) for n in result.get('class_names') or ()),
      seconds=result.get('seconds', record.get('seconds')),
      metric=metric,
      at_edge=tuple(result.get('at_edge') or ()),
      packed=result.get('packed') or {})


def _array(values: Any) -> np.ndarray | None:
  return np.array(values, dtype=np.float64) if values else None
