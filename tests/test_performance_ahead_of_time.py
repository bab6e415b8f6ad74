"""Tests the compilation of a run for TPU slices that this host does not have."""

import importlib.util
import json

import jax
import pytest
import tiny

from ssl_jax import errors, plain_config
from ssl_jax.performance import (
  ahead_of_time,
  tables,
)


@pytest.mark.parametrize('name, sentence', [
    ('v5e', 'give one of v4, v5e'), ('v9:2x2', 'v9:2x2'), ('v5e:2', 'for example v4')])
def test_no_such_topology(name, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    ahead_of_time.describe(name)


def test_without_the_tpu_compiler_the_command_is_told(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install -e '\.\[tpu\]'"):
    ahead_of_time.describe('v5e:2x2')


@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None,
                    reason="the TPU compiler is not here: pip install -e '.[tpu]'")
def test_compiles_for_a_slice_that_is_not_here():
  with pytest.raises(errors.UserError, match='does not know'):
    ahead_of_time.describe('v5e:3x3')
  result = ahead_of_time.run(tiny.config(online_probe=False), 'v5e:2x2')
  json.dumps(result)
  assert result['chips'] == 4 and result['images_per_chip'] == 4
  assert plain_config.plain(result['config'])['train']['precision'] == 'bfloat16'
  memory = result['memory_bytes']
  assert 0 < memory['temporary'] < memory['in all'] < memory['of the chip'] == 16e9
  assert result['flops'] > 0 and result['bytes_accessed'] > 0
  sent = {op: [c for c in result['collectives'] if c['op'] == op]
          for op in ('all-reduce', 'all-gather')}
  assert sum(map(len, sent.values())) == len(result['collectives'])
  kernels = 9 * (3 * 4 + 2 * 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16) + 16 * (16 + 8)
  assert max(c['bytes'] for c in sent['all-reduce']) >= 4 * kernels  # at once
  assert not any('bf16' in c['arrays'] for c in sent['all-reduce'])
  # Embeddings of 8 numbers, and a number for each.
  assert sum(c['count'] * c['bytes'] for c in sent['all-gather']) == 4 * 32 * (8 + 1)
  assert [s['chips'] for s in result['weak_scaling']] == [8, 64, 256]
  assert all(0 < s['efficiency'] < 1 for s in result['weak_scaling'])
  assert 'v5e:2x2' in tables.compiled(result)
  assert jax.default_backend() == 'cpu'
