"""Tests masks against a NumPy sort, and schedules against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.compression import pruning
from ssl_jax.parallel import mesh as mesh_lib

SHAPES = {('a', 'kernel'): (3, 3, 4, 8), ('b', 'kernel'): (8, 16),
          ('c', 'kernel'): (40,)}


def weights(seed=0, scales=(1, 0.1, 0.01)):
  rng = np.random.default_rng(seed)
  return {path: jnp.asarray(scale * rng.normal(size=shape), jnp.float32)
          for (path, shape), scale in zip(SHAPES.items(), scales, strict=True)}


def ones(weights):
  return {path: jnp.ones(w.shape, bool) for path, w in weights.items()}


def flat(arrays):
  return np.concatenate([np.ravel(x) for x in arrays.values()])


def counts(masks):
  return [int(n) for n in pruning.kept(masks).values()]


def globally(w, keep, floors=(0, 0, 0), masks=None):
  return jax.jit(pruning.prune_globally)(
      pruning.magnitudes(w), masks or ones(w), jnp.int32(keep), jnp.int32(floors))


@pytest.mark.parametrize('keep', [1, 2, 17, 228, 455, 456])
def test_global_threshold_against_a_sort(keep):
  w = weights()
  size = np.abs(flat(w))
  np.testing.assert_array_equal(flat(globally(w, keep)),
                                size >= np.sort(size)[-keep])


@pytest.mark.parametrize('keep', [1, 5, 40])
def test_layer_thresholds_against_a_sort(keep):
  w = weights()
  masks = pruning.prune_layers(pruning.magnitudes(w), ones(w), jnp.full(3, keep))
  for path, mask in masks.items():
    size = np.abs(np.asarray(w[path]))
    np.testing.assert_array_equal(mask, size >= np.sort(size, axis=None)[-keep])


def test_equal_weights_at_the_threshold_are_kept():
  w = {('a', 'kernel'): jnp.array([[3., -2.], [2., 1.]])}
  np.testing.assert_array_equal(
      flat(globally(w, 2, (0,))), [True, True, True, False])


def test_extreme_magnitudes_are_in_order():
  w = {('a', 'kernel'): jnp.array([[1e-38, -1e38, 0., 1e-40, -1.]])}
  kept = [flat(globally(w, keep, (0,))).tolist() for keep in (1, 2, 3)]
  assert kept == [[False, True, False, False, False],
                  [False, True, False, False, True],
                  [True, True, False, False, True]]


def test_floors_prevent_layer_collapse():
  w = weights()
  assert counts(globally(w, 60))[2] == 0
  masks = globally(w, 60, (0, 10, 4))
  found = counts(masks)
  assert sum(found) == 60 and found[1] >= 10 and found[2] == 4
  # Weights above the floors are chosen by one threshold.
  size = np.abs(np.asarray(w['a', 'kernel']))
  np.testing.assert_array_equal(masks['a', 'kernel'],
                                size >= np.sort(size, axis=None)[-found[0]])


def test_floors_win_where_they_exceed_the_total():
  assert counts(globally(weights(), 10, (9, 9, 9))) == [9, 9, 9]


def test_what_was_pruned_stays_pruned():
  first = globally(weights(), 200)
  w = pruning.apply(weights(seed=1), first)  # other weights are large now
  second = globally(w, 100, masks=first)
  assert not (flat(second) & ~flat(first)).any() and sum(counts(second)) == 100
  # A layer with fewer weights than its floor keeps them all, and zeros do not count.
  third = globally(pruning.apply(w, second), 100, (0, 0, 30), masks=second)
  np.testing.assert_array_equal(flat(third), flat(second))


@pytest.mark.parametrize('devices', [1, 8])
def test_any_number_of_devices_finds_the_same_masks(devices):
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  w = jax.device_put(weights(), mesh_lib.replicated(mesh))
  np.testing.assert_array_equal(flat(globally(w, 60, (0, 10, 4))),
                                flat(globally(weights(), 60, (0, 10, 4))))


def test_random_masks_do_not_depend_on_the_weights_and_are_nested():
  w = weights()
  scores = pruning.random_scores(w, jax.random.key(0))
  again = pruning.random_scores(weights(seed=1), jax.random.key(0))
  np.testing.assert_array_equal(flat(scores), flat(again))
  assert flat(scores).max() < 2**31 and len(np.unique(flat(scores))) == 456
  large = pruning.prune_layers(scores, ones(w), jnp.array([100, 50, 20]))
  small = pruning.prune_layers(scores, large, jnp.array([10, 5, 2]))
  assert counts(large) == [100, 50, 20] and counts(small) == [10, 5, 2]
  assert not (flat(small) & ~flat(large)).any()


def test_pruned_weights_are_zero_and_have_no_gradient():
  w = {('a', 'kernel'): jnp.array([1., -2., jnp.nan])}
  mask = {('a', 'kernel'): jnp.array([True, False, False])}
  gradient = jax.grad(lambda w: (3 * flat_sum(pruning.apply(w, mask))))(w)
  np.testing.assert_array_equal(gradient['a', 'kernel'], [3, 0, 0])
  np.testing.assert_array_equal(pruning.apply(w, mask)['a', 'kernel'], [1, 0, 0])
  assert float(pruning.sparsity(mask)) == pytest.approx(2 / 3)


def flat_sum(tree):
  return sum(x.sum() for x in tree.values())


def test_cubic_schedule_by_its_equation():
  """Equation 1 of Zhu & Gupta, with s_i = 0, t_0 = 0.1 and n = 50 updates."""
  schedule = pruning.Schedule(0.9)
  levels = schedule.levels()
  assert len(levels) == 51 and schedule.updates == 50
  t = 0.1 + 0.01 * np.arange(51)
  np.testing.assert_allclose(levels, 0.9 + (0 - 0.9) * (1 - (t - 0.1) / 0.5)**3,
                             atol=1e-12)


def test_other_schedules():
  steps = dict(start=0.2, end=0.8, every=0.2)
  of = lambda shape: pruning.Schedule(0.875, shape, **steps).levels()
  np.testing.assert_allclose(of('linear'), [0, 0.875 / 3, 1.75 / 3, 0.875])
  np.testing.assert_allclose(of('iterative'), [0, 0.5, 0.75, 0.875])  # halves thrice
  np.testing.assert_array_equal(of('one_shot'), [0, 0.875])


@pytest.mark.parametrize('steps', [10, 97, 1000])
def test_levels_follow_progress(steps):
  schedule = pruning.Schedule(0.9, 'cubic', start=0.1, end=0.6, every=0.1)
  done = np.arange(1, steps + 1)
  found = [int(schedule.level(jnp.float32(i) / steps)) for i in done]
  exact = np.clip((10 * done - steps) // steps, 0, 5)
  np.testing.assert_array_equal(found, exact)


def test_one_shot_prunes_at_the_start():
  schedule = pruning.Schedule(0.9, 'one_shot', start=0.5)
  assert [int(schedule.level(jnp.float32(p))) for p in (0.49, 0.5, 1)] == [0, 1, 1]


def test_numbers_of_weights_to_keep():
  np.testing.assert_array_equal(
      pruning.to_keep([100, 7], [0, 0.95, 0.999]), [[100, 7], [5, 1], [1, 1]])
  large = 23_454_912  # ResNet-50: float32 would be off by two
  assert pruning.to_keep([large], [0.9])[0, 0] == large - round(0.9 * large)
  np.testing.assert_array_equal(pruning.at_least([100, 101, 7], 0.01), [1, 2, 1])
  np.testing.assert_array_equal(pruning.at_least([100], 0), [0])


def test_floors_above_the_sparsity_are_refused():
  pruning.check_floor(0.01, 0.99)
  with pytest.raises(errors.UserError, match=r'floor is 0.02: .*sparsity=0.99 leaves'):
    pruning.check_floor(0.02, 0.99)
