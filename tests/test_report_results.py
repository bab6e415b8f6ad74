"""Tests the conversion of an evaluation's result.json."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import results


def test_fields_are_those_of_the_file():
  found = results.evaluation_result(fake_study.evaluation_result(0.9, labelled=50))
  assert found.accuracy == 0.9 and found.images == 300 and found.labelled == 50
  assert found.class_names == fake_study.CLASSES and not found.searched
  np.testing.assert_array_equal(found.confusion.sum(1), [100, 100, 100])
  searched = fake_study.evaluation_result(0.9, searched=True)
  assert results.evaluation_result(searched).searched


@pytest.mark.parametrize('top1', [None, 'high', 1.5, float('nan')])
def test_no_accuracy_is_an_error(top1):
  record = fake_study.evaluation_result(0.9)
  record['result']['test']['top1'] = top1
  with pytest.raises(ValueError):
    results.evaluation_result(record)
