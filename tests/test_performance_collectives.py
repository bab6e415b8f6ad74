"""Collectives read from a text, from a real program, and what they cost."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import collectives, hardware

TEXT = """
HloModule jit_step, entry_computation_layout={(f32[64]{0})->f32[64]{0}}
%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %add.1 = f32[] add(%x, %y)
}
ENTRY %main {
  %all-reduce.9 = f32[64]{0:T(128)} all-reduce(%p), channel_id=1, to_apply=%add
  %all-reduce.10 = f32[64]{0:T(128)} all-reduce(%q), channel_id=2, to_apply=%add
  %r = (bf16[3,3,8,8]{3,2,1,0:T(8,128)(2,1)}, f32[]) all-reduce(%a, %b), to_apply=%add
  %s = (f32[2,4]{1,0}, f32[16,4]{1,0}) all-gather-start(%z), dimensions={0}
  %t = f32[16,4]{1,0} all-gather-done(%s)
  %u = (f32[5]{0}, f32[5]{0}, u32[], u32[]) collective-permute-start(%w), x={{0,1}}
  %v = f32[5]{0} collective-permute-done(%u)
  %c = f32[3]{0} all-reduce-start(%w), to_apply=%add
  ROOT %d = pred[8,2]{1,0} reduce-scatter(%all-reduce.10), dimensions={0}
}
"""


def test_reads_a_text():
  found = {(c.op, c.arrays): (c.count, c.bytes) for c in collectives.parse(TEXT)}
  assert found == {
      ('all-reduce', (('f32', (64,)),)): (2, 256),
      ('all-reduce', (('bf16', (3, 3, 8, 8)), ('f32', ()))): (1, 1156),
      ('all-gather', (('f32', (16, 4)),)): (1, 256),
      ('collective-permute', (('f32', (5,)),)): (1, 20),
      ('all-reduce', (('f32', (3,)),)): (1, 12),
      ('reduce-scatter', (('pred', (8, 2)),)): (1, 16),
  }


def test_gpus_write_the_operands_of_an_all_reduce_too():
  text = """
  %a = ((f32[32]{0}), f32[32]{0}) all-reduce-start(%p), channel_id=3, to_apply=%add
  %b = f32[32]{0} all-reduce-done(%a)
  %c = ((f32[8]{0}, f32[]), (f32[8]{0}, f32[])) all-reduce-start(%q, %r), to_apply=%add
"""
  assert [(c.op, c.arrays, c.count) for c in collectives.parse(text)] == [
      ('all-reduce', (('f32', (32,)),), 1),
      ('all-reduce', (('f32', (8,)), ('f32', ())), 1)]


def test_an_operation_named_in_several_fusions_counts_once():
  """As compilers for TPUs write it, each line in a computation of its own."""
  line = ('  %all-gather.{0} = f32[64,8]{{1,0:T(8,128)S(1)}} all-gather(%p.{0}), '
          'channel_id=48, frontend_attributes={{chain_id="{1}"}}\n')
  text = ''.join(line.format(i, chain) for i, chain in enumerate([1, 0, 0, 1, 0]))
  assert [(c.op, c.bytes, c.count) for c in collectives.parse(text)] == [
      ('all-gather', 4 * 64 * 8, 2)]


def test_the_heaviest_comes_first():
  sizes = [c.count * c.bytes for c in collectives.parse(TEXT)]
  assert sizes == sorted(sizes, reverse=True)


def test_reads_a_compiled_program():
  mesh = mesh_lib.data_mesh()

  def share(x):
    total = jax.lax.psum(x.sum(0), 'data')
    everyone = jax.lax.all_gather(2 * x, 'data', tiled=True)
    return total + everyone.max(0)

  rows = PartitionSpec('data')
  shared = jax.shard_map(share, mesh=mesh, in_specs=rows, out_specs=PartitionSpec(),
                         check_vma=False)
  program = jax.jit(shared).lower(jnp.zeros((16, 5))).compile()
  found = {c.op: c for c in collectives.parse(program.as_text())}
  assert found.keys() == {'all-reduce', 'all-gather'}
  assert found['all-reduce'].arrays == (('f32', (5,)),)
  assert found['all-gather'].arrays == (('f32', (16, 5)),)
  assert found['all-gather'].bytes == 4 * 16 * 5


def test_no_collectives_on_one_device():
  text = jax.jit(lambda x: x.sum()).lower(jnp.zeros(8)).compile().as_text()
  assert collectives.parse(text) == []


def test_communication_by_hand():
  torus = hardware.Torus(2, 1e9, closed_from=16)
  reduce = collectives.Collective('all-reduce', (('f32', (250_000,)),), count=3)  # 1 MB
  gather = collectives.Collective('all-gather', (('bf16', (500_000,)),), count=1)
  # 4 x 4, rings: 2 hops each way; 15/16 of the bytes leave a chip, twice to reduce.
  each = 15 / 16 * 1e6 / 1e9 + 4e-6
  assert collectives.communication([reduce], torus, 16) == pytest.approx(3 * 2 * each)
  assert collectives.communication([gather], torus, 16) == pytest.approx(each)
  # 2 x 2, lines: half the bandwidth, one hop each way.
  line = 3 / 4 * 1e6 / 0.5e9 + 2e-6
  assert collectives.communication([gather], torus, 4) == pytest.approx(line)
  assert collectives.communication([reduce, gather], torus, 1) == 0
  # A switch: all the bandwidth, and one hop.
  switch = hardware.Switch(1e9)
  each = 7 / 8 * 1e6 / 1e9 + 1e-6
  assert collectives.communication([reduce, gather], switch, 8) == pytest.approx(
      (3 * 2 + 1) * each)


def test_what_grows_with_the_chips():
  weights = collectives.Collective('all-reduce', (('f32', (512, 10)),), 1)
  rows = collectives.Collective('all-reduce', (('f32', (128, 8)),), 1)
  gathered = collectives.Collective('all-gather', (('f32', (8, 16, 8)),), 5)
  scalar = collectives.Collective('all-gather', (('f32', ()),), 1)
  grown = collectives.resized([weights, rows, gathered, scalar], rows=64,
                              compiled_for=8, chips=32)
  assert grown[1].arrays == (('f32', (512, 8)),)
  assert grown[2].bytes == 4 * gathered.bytes
  assert grown[2].count == 5 and grown[3] == scalar
  # 512 is a multiple of 64 too: a matrix of such a height is taken for rows.
  other = collectives.resized([weights], rows=48, compiled_for=8, chips=32)
  assert other == [weights]
