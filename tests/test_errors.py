"""Tests the sentences that errors print, and their exit statuses."""

import pytest

from ssl_jax import errors


def test_lookup_returns_the_entry_or_names_what_is_accepted():
  table = {'linear': 1, 'knn': 2}
  assert errors.lookup('config.protocol.name', 'knn', table) == 2
  with pytest.raises(errors.UserError) as e:
    errors.lookup('config.protocol.name', 'linaer', table)
  assert str(e.value) == ("config.protocol.name is 'linaer'; accepted are knn, linear; "
                          "did you mean 'linear'?")


@pytest.mark.parametrize('name', ['xyz', '', 'm'])
def test_nothing_is_suggested_where_nothing_is_close(name):
  assert errors.suggestion(name, ['resnet18', 'nin']) == ''


def test_lookup_of_a_name_that_is_no_text():
  with pytest.raises(errors.UserError, match='is None; accepted are a$'):
    errors.lookup('config.x', None, {'a': 1})


def test_preemption_names_its_step_and_cause_and_is_no_mistake():
  assert str(errors.Preempted(7)).startswith('stopped by SIGTERM; step 7 is saved')
  assert 'Ctrl-C' in str(errors.Preempted(7, 'Ctrl-C'))
  assert not issubclass(errors.Preempted, errors.UserError)
  assert errors.PREEMPTED == 75  # EX_TEMPFAIL of sysexits.h


def test_a_missing_split_and_a_divergence_are_mistakes_of_the_user():
  for kind in (errors.MissingSplit, errors.Diverged):
    assert issubclass(kind, errors.UserError)


def test_first_items_and_the_number_of_the_others():
  assert errors.listed('abcde', 2) == 'a, b and 3 more'
  assert errors.listed('abcde', 4, '; ') == 'a; b; c; d; and 1 more'
  assert errors.listed('ab', 2) == 'a, b' and errors.listed([], 2) == ''
