"""Tests the compilation of a run for TPUs and GPUs that this host does not have."""

import importlib.util
import json

import jax
import pytest
import tiny

from ssl_jax import plain_config
from ssl_jax.performance import ahead_of_time, tables, topologies


@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None,
                    reason="the TPU compiler is missing: pip install -e '.[tpu]'")
def test_compiles_for_a_slice_that_this_host_does_not_have():
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


@pytest.mark.skipif(not topologies.gpu_compiler(),
                    reason="the GPU compiler is missing: pip install -e '.[cuda]'")
def test_compiles_for_gpus_that_this_host_does_not_have(tmp_path):
  result = ahead_of_time.run(tiny.config(online_probe=False), 'h100:2',
                             tmp_path / 'step.hlo')
  json.dumps(result)
  assert result['chips'] == 2 and result['images_per_chip'] == 8
  assert plain_config.plain(result['config'])['train']['precision'] == 'bfloat16'
  memory, kernels = result['memory_bytes'], result['kernels']
  assert 0 < memory['temporary'] < memory['in all'] < memory['of the chip'] == 80e9
  assert result['flops'] == kernels['flops'] > 0
  assert result['bytes_accessed'] == kernels['bytes']
  assert result['compiler_seconds'] > 1e-6 * kernels['kernels'] > 0
  assert sum(c['count'] for c in kernels['convolutions']) == 20  # as for TPUs
  assert {p['part'] for p in kernels['parts']} >= {
      'augmentation', 'encoder forward', 'encoder backward', 'loss', 'optimizer'}
  assert {c['op'] for c in result['collectives']} == {'all-reduce', 'all-gather'}
  assert [s['chips'] for s in result['weak_scaling']] == [2, 4, 8]
  table = tables.compiled(result)
  assert 'h100:2' in table and 'convolutions backward' in table
  assert (tmp_path / 'step.hlo').read_text().startswith('HloModule jit_dispatch')
  assert jax.default_backend() == 'cpu'
