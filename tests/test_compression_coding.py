"""Tests that codes are read back, are as long as counted, and near the entropy."""

import numpy as np
import pytest

from ssl_jax.compression import coding


def integers(size, density, bits=6, seed=0):
  rng = np.random.default_rng(seed)
  values = rng.integers(1, 2**(bits - 1), size) * rng.choice([-1, 1], size)
  return np.where(rng.random(size) < density, values, 0).astype(np.int8)


@pytest.mark.parametrize('bits', range(2, 9))
@pytest.mark.parametrize('density', [0, 0.001, 0.03, 0.3, 0.95, 1])
def test_every_integer_is_read_back(bits, density):
  x = integers(2001, density, bits)
  coded = coding.encode(x.reshape(3, -1), bits)
  np.testing.assert_array_equal(coding.decode(coded, x.size, bits), x)


@pytest.mark.parametrize('x', [[], [0], [5], [0, 0, 0, -7], [-32, 31, 0]])
def test_short_arrays(x):
  coded = coding.encode(np.array(x, np.int8), 6)
  np.testing.assert_array_equal(coding.decode(coded, len(x), 6), x)


@pytest.mark.parametrize('density, positions', [
    (1, 'all'), (0.95, 'all'), (0.5, 'mask'), (0.05, 'gaps'), (0.01, 'gaps')])
def test_the_shortest_way_is_chosen(density, positions):
  x = integers(40_000, density)
  coded = coding.encode(x, 6)
  assert coded.positions == positions
  nonzero = np.count_nonzero(x)
  length = len(coded.index) + len(coded.values)
  assert length <= 40_000 * 6 / 8 and length <= 40_000 / 8 + nonzero * 6 / 8 + 2


@pytest.mark.parametrize('density', [0.1, 0.05, 0.01, 0.003])
def test_gaps_are_near_the_entropy_of_the_positions(density):
  x = integers(400_000, density)
  p = np.count_nonzero(x) / x.size
  entropy = x.size * -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8
  index = len(coding.encode(x, 6).index)
  assert entropy * 0.999 < index < entropy * 1.04
  np.testing.assert_allclose(coding.entropy_bytes(x != 0), entropy, rtol=1e-9)


def test_the_code_of_gaps_by_hand():
  """Gaps 5, 0 and 2 with one low bit: unary 001, 1, 01, then the bits 1, 0, 0."""
  gaps = np.array([5, 0, 2])
  assert coding.pack_gaps(gaps, 1) == bytes([0b101100, 0b001])
  np.testing.assert_array_equal(coding.unpack_gaps(bytes([0b101100, 1]), 1, 3), gaps)
  # With 0 to 3 low bits, the quotients sum to 7, 3, 1 and 0.
  assert [len(gaps) * (1 + r) + sum(gaps >> r) for r in range(4)] == [10, 9, 10, 12]
  assert coding.best_low_bits(gaps) == 1


def test_packed_bits_by_hand():
  assert coding.pack(np.array([1, 2, 7]), 3) == bytes([0b11010001, 0b1])
  np.testing.assert_array_equal(coding.unpack(bytes([0b11010001, 1]), 3, 3), [1, 2, 7])


def test_parts_that_do_not_belong_together_are_refused():
  coded = coding.encode(integers(2000, 0.05), 6)
  for wrong in (coded._replace(count=coded.count + 1),
                coded._replace(index=coded.index[:-9]),
                coded._replace(values=coded.values + b' ')):
    with pytest.raises(ValueError):
      coding.decode(wrong, 2000, 6)
  with pytest.raises(ValueError):
    coding.decode(coded, 1000, 6)
