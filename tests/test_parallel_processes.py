"""Tests how processes find each other, agree, and fail together."""

import json

import pytest

from ssl_jax import errors
from ssl_jax.parallel import processes


@pytest.mark.parametrize('address, number, process, sentence', [
    ('localhost', '2', '0', 'set it to host:port'),
    ('localhost:1', '', '0', "JAX_NUM_PROCESSES is ''"),
    ('localhost:1', '2', 'one', "JAX_PROCESS_ID is 'one'"),
    ('localhost:1', '2', '2', 'JAX_NUM_PROCESSES is 2; it must be 0 to 1'),
])
def test_a_cluster_that_makes_no_sense(monkeypatch, address, number, process, sentence):
  monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', address)
  monkeypatch.setenv('JAX_NUM_PROCESSES', number)
  monkeypatch.setenv('JAX_PROCESS_ID', process)
  with pytest.raises(errors.UserError, match=sentence):
    processes.join_cluster()


def test_a_process_alone_agrees_with_itself():
  assert processes.allgather_text('a') == ['a']
  processes.assert_equal_across_processes({'examples': 3}, 'remedy')
  with pytest.raises(errors.UserError, match='^its own words$'):
    with processes.fail_together():
      raise errors.UserError('its own words')


@pytest.fixture
def others(monkeypatch):
  """Simulates two other processes, on hosts 'b' and 'c', that send these texts."""
  def send(*texts):
    monkeypatch.setattr(processes, 'allgather_text', lambda text: [
        text, *(json.dumps([host, sent])
                for host, sent in zip('bc', texts, strict=True))])
  return send


def test_the_process_that_failed_is_named_on_the_others(others):
  others('', 'no such folder')
  with pytest.raises(errors.UserError, match=r'^process 2 of 3 \(on c\): no such fol'):
    with processes.fail_together():
      pass


def test_a_failure_that_all_share_names_no_process(others):
  others('no data', 'no data')
  with pytest.raises(errors.UserError, match='^no data$'):
    with processes.fail_together():
      raise errors.UserError('no data')


def test_an_error_of_the_program_is_raised_as_it_is(others):
  others('', '')
  with pytest.raises(ZeroDivisionError):
    with processes.fail_together():
      1 / 0  # noqa: B018


def test_nothing_happens_where_none_failed(others):
  others('', '')
  with processes.fail_together():
    pass


def test_facts_that_differ_name_process_path_and_remedy(others):
  others(json.dumps({'data': {'n': 3}}), json.dumps({'data': {'n': 4}}))
  with pytest.raises(errors.UserError, match=(
      r'^process 2 of 3 \(on c\) differs from process 0 \(data.n: 3 -> 4\); cure$')):
    processes.assert_equal_across_processes({'data': {'n': 3}}, 'cure')
