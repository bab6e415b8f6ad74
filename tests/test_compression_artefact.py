"""Tests files of compressed networks: equality, sizes, and damage."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors, models
from ssl_jax.compression import artefact, kernels, pruning, quantization

META = {'config': {'augment': {'recipe': 'none'}}, 'class_names': ['a', 'ü']}
HOW = {'bits': 6, 'per': 'channel'}


def network(sparsity, bits=6, per='channel', name='resnet8', width=1.):
  """Returns the variables of a network that is pruned and quantized."""
  module = models.MODELS[name](dtype=jnp.float32, width=width)
  variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)
  weights = kernels.find(variables['params'])
  sizes = [w.size for w in weights.values()]
  masks = pruning.prune_globally(
      pruning.magnitudes(weights), {path: w != 0 for path, w in weights.items()},
      pruning.to_keep([sum(sizes)], [sparsity])[0, 0], pruning.at_least(sizes, 0.01))
  params = kernels.replace(variables['params'], pruning.apply(weights, masks))
  params = quantization.quantize_tree(params, bits=bits, per=per)
  return jax.tree.map(np.asarray, {**variables, 'params': params})


def bits_of(tree):
  return {jax.tree_util.keystr(path): np.asarray(x).view(np.uint32)
          for path, x in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize('bits', [2, 5, 6, 8])
@pytest.mark.parametrize('per', quantization.GRANULARITIES)
@pytest.mark.parametrize('sparsity', [0, 0.9])
def test_what_is_read_is_what_was_written_bit_for_bit(tmp_path, bits, per, sparsity):
  variables = network(sparsity, bits, per)
  artefact.write(tmp_path / 'file', variables, META, bits=bits, per=per)
  found = artefact.read(tmp_path / 'file')
  expected, read = bits_of(variables), bits_of(found.variables)
  assert expected.keys() == read.keys()
  for name, x in expected.items():
    np.testing.assert_array_equal(x, read[name], name)
  assert found.meta == META


def test_the_same_network_makes_the_same_file(tmp_path):
  for name in 'ab':
    artefact.write(tmp_path / name, network(0.9), META, **HOW)
  assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
  assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b']


def test_bytes_of_each_layer(tmp_path):
  variables = network(0.95, width=2)
  size = artefact.write(tmp_path / 'file', variables, META, **HOW)
  assert size == (tmp_path / 'file').stat().st_size
  rows = artefact.read(tmp_path / 'file').sizes
  n = sum(x.size for x in jax.tree.leaves(variables))
  whole = artefact.total(rows)
  assert whole.entries == n and whole.float32 == 4 * n
  assert whole.stored < size < whole.stored + 2000  # the header
  by_name = {row.name: row for row in rows}
  row = by_name['params/stage3/block1/conv2/kernel']
  assert row.entries == 128 * 128 * 9 and row.float32 == 4 * row.entries
  assert row.dense == 6 * row.entries // 8 + 3 * 128
  assert row.entropy < row.stored < row.dense / 4
  for path, w in kernels.find(variables['params']).items():
    row = by_name['/'.join(('params', *path))]
    assert row.nonzero == np.count_nonzero(w) and row.entries == w.size
    _, counts = np.unique(np.round(w / np.abs(w).max((0, 1, 2)).clip(1e-9) * 31),
                          return_counts=True)
    share = counts / w.size
    assert row.entropy == pytest.approx(
        -(share * np.log2(share)).sum() * w.size / 8 + 3 * w.shape[-1], rel=0.01)
    assert row.stored <= row.dense


def test_unused_arrays_take_no_bytes(tmp_path):
  variables = network(0.9)
  unused = {('params', 'stem', 'conv1', 'kernel'),
            ('batch_stats', 'stem', 'bn1', 'var')}
  size = artefact.write(tmp_path / 'a', variables, META, **HOW)
  assert artefact.write(tmp_path / 'b', variables, META, unused=unused, **HOW) < size
  read = artefact.read(tmp_path / 'b').variables
  assert not read['params']['stem']['conv1']['kernel'].any()
  assert read['batch_stats']['stem']['bn1']['var'].shape == (16,)


def test_kernels_that_are_not_quantized_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match='kernel is not quantized with 4 bits per'):
    artefact.write(tmp_path / 'file', network(0.5), META, bits=4, per='channel')
  assert not list(tmp_path.iterdir())


def test_damaged_truncated_and_foreign_files(tmp_path):
  path = tmp_path / 'file'
  artefact.write(path, network(0.9), META, **HOW)
  good = path.read_bytes()

  def message(data):
    path.write_bytes(data)
    with pytest.raises(errors.UserError) as caught:
      artefact.read(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    return str(caught.value)

  rng = np.random.default_rng(0)
  for at in [*rng.integers(8, len(good), 20), len(good) - 1]:
    damaged = bytearray(good)
    damaged[at] ^= 1
    assert 'damaged or truncated' in message(bytes(damaged))
  for length in (len(good) - 1, len(good) // 2, 60):
    assert 'damaged or truncated' in message(good[:length])
  assert 'only 20 bytes' in message(good[:20])
  for foreign in (b'', b'PK\x03\x04', good[1:]):
    assert 'not a compressed network' in message(foreign)
  assert 'version 2 of its format' in message(good[:7] + b'\x02' + good[8:])
  content = b'\x00' * 100
  assert 'was not written correctly' in message(
      good[:8] + hashlib.sha256(content).digest() + content)


def test_a_missing_file(tmp_path):
  with pytest.raises(errors.UserError, match='cannot be read: No such file'):
    artefact.read(tmp_path / 'file')
