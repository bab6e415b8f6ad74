"""Tests the kernels of a program written by hand, their parts and their sums."""

import pytest

from ssl_jax.performance import gpu_program

TEXT = """
HloModule jit_dispatch

%fused_dot (a: f32[64,4], b: f32[4,4]) -> f32[64,4] {
  %a = f32[64,4]{1,0} parameter(0)
  %b = f32[4,4]{1,0} parameter(1)
  ROOT %dot = f32[64,4]{1,0} dot(%a, %b), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}, \
metadata={op_name="jit(dispatch)/loss/jvp(Network)/projector/dense1/dot_general"}
}
%fused_transpose (a: f32[64,4]) -> f32[4,64] {
  %a = f32[64,4]{1,0} parameter(0)
  ROOT %transpose = f32[64,4]{0,1} transpose(%a), dimensions={0,1}
}
%body (s: (s32[], f32[64,4])) -> (s32[], f32[64,4]) {
  %s = (s32[], f32[64,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %v = f32[64,4]{1,0} get-tuple-element(%s), index=1
  %next = s32[] add(%i, %i), metadata={op_name="jit(dispatch)/views/while/body/add"}
  %turned = f32[64,4]{1,0} copy(%v), \
metadata={op_name="jit(dispatch)/views/while/body/mul"}
  ROOT %r = (s32[], f32[64,4]{1,0}) tuple(%next, %turned)
}
%condition (s: (s32[], f32[64,4])) -> pred[] {
  %s = (s32[], f32[64,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  ROOT %less = pred[] compare(%i, %i), direction=LT
}
%short (s: f32[4,4]) -> f32[4,4] {
  ROOT %s = f32[4,4]{1,0} parameter(0)
}
%long (s: f32[4,4]) -> f32[4,4] {
  %s = f32[4,4]{1,0} parameter(0)
  %once = f32[4,4]{1,0} negate(%s), metadata={op_name="jit(dispatch)/optimizer/neg"}
  ROOT %twice = f32[4,4]{1,0} copy(%once)
}
ENTRY %main (w: f32[4,4], x: f32[64,4]) -> f32[64,4] {
  %w = f32[4,4]{1,0} parameter(0)
  %x = u8[64,4]{1,0} parameter(1)
  %zero = s32[] constant(0)
  %views = f32[64,4]{1,0} fusion(%x), kind=kLoop, calls=%short.2, \
metadata={op_name="jit(dispatch)/views/mul"}
  %start = (s32[], f32[64,4]{1,0}) tuple(%zero, %views)
  %while = (s32[], f32[64,4]{1,0}) while(%start), condition=%condition, body=%body, \
backend_config={TRIPS}
  %v = f32[64,4]{1,0} get-tuple-element(%while), index=1
  %dense = f32[64,4]{1,0} fusion(%v, %w), kind=kCustom, calls=%fused_dot
  %turn = f32[64,4]{0,1} fusion(%dense), kind=kInput, calls=%fused_transpose, \
metadata={op_name="jit(dispatch)/loss/transpose(jvp(Network))/encoder/stage1/mul"}
  %sum-start = ((f32[4,4]{1,0}), f32[4,4]{1,0}) all-reduce-start(%w), to_apply=%add
  %sum-done = f32[4,4]{1,0} all-reduce-done(%sum-start)
  %new = f32[4,4]{1,0} conditional(%zero, %sum-done, %sum-done), \
branch_computations={%short, %long}
  %same = f32[4,4]{1,0} copy(%w)
  ROOT %bits = f32[64,4]{0,1} bitcast(%turn)
}
"""
KNOWN = '{"known_trip_count":{"n":"4"},"known_init_step":{"init":"0","step":"1"}}'
ACTIVATION, WEIGHT = 4 * 64 * 4, 4 * 4 * 4  # bytes


def kernels(trips=KNOWN):
  return {k.name: k for k in gpu_program.read(TEXT.replace('{TRIPS}', trips))}


def test_every_launch_in_its_order():
  assert list(kernels()) == ['views', 'next', 'turned', 'dense', 'turn', 'sum-start',
                             'once', 'twice', 'same']


def test_the_body_of_a_loop_counts_as_often_as_it_runs():
  times = {name: k.times for name, k in kernels().items()}
  assert times.pop('next') == times.pop('turned') == 4
  assert set(times.values()) == {1}


def test_a_loop_of_unknown_length_counts_once_with_its_condition():
  found = kernels('{}')
  assert found['next'].times == found['turned'].times == found['less'].times == 1


def test_a_loop_in_a_loop():
  inner = TEXT[TEXT.index('%body'):TEXT.index('%short')]
  text = TEXT.replace('%short (s', inner.replace('%body', '%outer').replace(
      '%condition', '%until').replace(
          '%turned = f32[64,4]{1,0} copy(%v)',
          '%t = (s32[], f32[64,4]{1,0}) while(%s), condition=%condition, body=%body, '
          f'backend_config={KNOWN}\n  %turned = f32[64,4]{{1,0}} copy(%v)')
      + '%short (s', 1).replace('body=%body, backend_config={TRIPS}',
                                f'body=%outer, backend_config={KNOWN}')
  copies = [k.times for k in gpu_program.read(text) if k.name == 'turned']
  assert sorted(copies) == [4, 16]


def test_parts_by_scope_by_what_is_fused_and_by_what_is_copied():
  assert {name: k.part for name, k in kernels().items()} == {
      'views': 'augmentation', 'next': 'augmentation', 'turned': 'augmentation',
      'dense': 'heads forward', 'turn': 'encoder backward', 'sum-start': 'collectives',
      'once': 'optimizer', 'twice': 'optimizer', 'same': 'other'}


@pytest.mark.parametrize('name, part', [
    ('jit(dispatch)/loss/jvp(Network)/encoder/stem/conv1/conv', 'encoder forward'),
    ('jit(dispatch)/loss/Network/encoder/stem/bn1/mul', 'encoder forward'),
    ('jit(dispatch)/loss/(transpose(jvp(Network))/encoder/stem/psum:'
     'transpose(jvp(Network))/projector/bn1)', 'encoder backward'),
    ('jit(dispatch)/loss/jvp(Network)/predictor/dense1/dot', 'heads forward'),
    ('jit(dispatch)/loss/transpose(jvp(Network))/rotation/dot', 'heads backward'),
    ('jit(dispatch)/loss/transpose(jvp())/reduce_sum', 'loss'),
    ('jit(dispatch)/optimizer/jit(norm)/reduce_sum', 'optimizer'),
    ('jit(dispatch)/metrics/square', 'metrics'),
    ('jit(dispatch)/probe/jvp()/dot', 'online probe'), ('reduce_sum', '')])
def test_the_part_of_a_scope(name, part):
  assert gpu_program.part_of(name) == part
  assert part in (*gpu_program.PARTS, '')


@pytest.mark.parametrize('kind, scope, part', [
    ('Forward', 'jvp(Network)', 'forward'),
    ('Forward', 'transpose(jvp(Network))', 'backward'),  # as XLA likes it, for stride 1
    ('BackwardFilter', 'transpose(jvp(Network))', 'backward')])
def test_convolutions_are_parts_of_their_own(kind, scope, part):
  found, = gpu_program.read(f"""
ENTRY %main (x: f32[8,4,4,2], w: f32[2,1,1,2]) -> f32[8,4,4,2] {{
  %x = f32[8,4,4,2]{{3,2,1,0}} parameter(0)
  %w = f32[2,1,1,2]{{3,2,1,0}} parameter(1)
  ROOT %c = (f32[8,4,4,2]{{3,2,1,0}}, u8[0]{{0}}) custom-call(%x, %w), \
window={{size=1x1}}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$conv{kind}", \
metadata={{op_name="jit(dispatch)/loss/{scope}/encoder/conv1/conv"}}
}}
""")
  assert found.part == f'convolutions {part}'
  result = gpu_program.summary([found], 1e12, 1e12, images=8)
  assert result['convolutions'] == [
      {'kind': found.convolution.kind, 'dtypes': 'f32', 'layouts': 'NHWC OHWI',
       'count': 1}]


def test_sums_and_the_predicted_time():
  found = gpu_program.summary(list(kernels().values()), flops=2 * 64 * 4 * 4 / 1e-3,
                              bandwidth=ACTIVATION / 1e-3, images=32)
  assert found['kernels'] == 7 + 2 * 4 == found['small_kernels']
  by_part = {p['part']: p for p in found['parts']}
  assert sum(p['kernels'] for p in found['parts']) == found['kernels']
  # The views are made of bytes, a quarter of an activation; the loop copies one.
  assert by_part['augmentation']['bytes'] == ACTIVATION * 5 // 4 + 4 * (
      2 * ACTIVATION + 12)
  heads = by_part['heads forward']
  assert heads['flops'] == 2 * 64 * 4 * 4
  assert heads['bytes'] == 2 * ACTIVATION + WEIGHT
  # Its memory takes longer than its product.
  assert heads['seconds'] == pytest.approx(heads['bytes'] * 1e-3 / ACTIVATION + 1e-6)
  # What links take is no time of the memory.
  assert by_part['collectives']['seconds'] == pytest.approx(1e-6)
  assert found['copies']['kernels'] == 4 + 2


def test_a_kernel_may_be_bound_by_its_product():
  found = kernels()['dense']
  assert found.seconds(flops=1e3, bandwidth=1e12) == pytest.approx(2.048 + 1e-6)


def test_activations_that_change_their_place():
  found = gpu_program.summary(list(kernels().values()), 1e12, 1e12, images=32)
  assert found['rearranged_activations'] == [
      {'part': 'augmentation', 'array': 'f32[64,4]', 'count': 4},
      {'part': 'encoder backward', 'array': 'f32[64,4]', 'count': 1}]


def test_parameters_are_no_activations():
  """A square kernel of 64 has as many rows as there are activations."""
  text = TEXT.replace('{TRIPS}', KNOWN).replace('[4,4]', '[64,64]')
  found = gpu_program.summary(gpu_program.read(text), 1e12, 1e12, images=32)
  assert {a['array'] for a in found['rearranged_activations']} == {'f32[64,4]'}
