"""Tests that parameters of stages are checked when a stage is built."""

import pytest

from ssl_jax import errors
from ssl_jax.augment import first_stages, stages


@pytest.mark.parametrize('make, sentence', [
    (lambda: first_stages.RandomCrop(area=(.5, .1)), 'area is .*smaller number first'),
    (lambda: stages.Blur(1., (2., 1.)), 'sigma is .*smaller number first'),
    (lambda: stages.Flip(1.5), 'p is 1.5'),
    (lambda: first_stages.CenterCrop(size=0), 'size is 0')])
def test_bad_fields_are_refused_when_a_stage_is_made(make, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    make()
