"""Tests which arrays of one network another one takes, and which are listed."""

import numpy as np

from ssl_jax.weights import matching


def network(value, projector=4, **encoder):
  layers = {'conv': (3, 2), 'bn': (2,), **encoder}
  full = lambda shape: np.full(shape, value, np.float32)
  return {'params': {'encoder': {k: full(v) for k, v in layers.items() if v},
                     'projector': {'dense': full((2, projector))}},
          'batch_stats': {'encoder': {'bn': full((2,))}}}


def test_equal_modules_are_taken():
  got = matching.match(network(0), network(1))
  assert got.fits and got.taken == ['encoder', 'projector'] and not got.kept
  np.testing.assert_array_equal(got.variables['params']['projector']['dense'], 1)
  np.testing.assert_array_equal(got.variables['batch_stats']['encoder']['bn'], 1)


def test_a_module_of_another_shape_is_kept_as_a_whole():
  source = network(1, projector=5)
  source['params']['head'] = {'bias': np.ones(3)}
  got = matching.match(network(0), source)
  assert got.fits and got.taken == ['encoder'] and got.kept == ['projector']
  np.testing.assert_array_equal(got.variables['params']['projector']['dense'], 0)
  np.testing.assert_array_equal(got.variables['params']['encoder']['conv'], 1)
  assert got.unused == [('params', 'head', 'bias'), ('params', 'projector', 'dense')]


def test_every_difference_of_the_encoder_is_listed():
  got = matching.match(network(0), network(1, conv=(3, 3), bn=None, late=(1,)))
  assert not got.fits
  assert got.missing == [('params', 'encoder', 'bn')]
  assert got.other_shape == [('params', 'encoder', 'conv')]
  assert got.surplus == [('params', 'encoder', 'late')]


def test_an_encoder_that_lacks_nothing_but_has_more_is_another_one():
  assert not matching.match(network(0), network(1, late=(1,))).fits


def test_dtypes_are_those_of_the_target():
  source = network(1)
  source['params']['encoder']['conv'] = np.ones((3, 2), np.float64)
  got = matching.match(network(0), source)
  assert got.variables['params']['encoder']['conv'].dtype == np.float32


def test_a_fine_tuned_network_is_unwrapped_and_keeps_its_last_head():
  inner = {'encoder': {'w': 1}, 'head': {'b': 2}}
  once = {'network': inner, 'head': {'b': 3}}
  twice = {'network': once, 'head': {'b': 4}}
  for tree, head in ((inner, 2), (once, 3), (twice, 4)):
    got = matching.without_wrappers({'params': tree})
    assert got == {'params': {'encoder': {'w': 1}, 'head': {'b': head}}}
  without = {'network': {'encoder': {'w': 1}}}
  assert matching.without_wrappers({'batch_stats': without}) == {
      'batch_stats': {'encoder': {'w': 1}}}
