"""Tests bytes and FLOPs of single instructions against counts by hand."""

import pytest

from ssl_jax.performance import hlo, kernel_costs

CONVOLUTION = """
ENTRY %main (x: bf16[8,16,16,3], w: bf16[32,3,5,3]) -> bf16[8,8,8,32] {{
  %x = bf16[8,16,16,3]{{3,2,1,0}} parameter(0)
  %w = bf16[32,3,5,3]{{3,2,1,0}} parameter(1)
  %d = bf16[8,8,8,32]{{{layout}}} parameter(2)
  ROOT %c = ({result}, u8[0]{{0}}) custom-call({operands}), \
window={{size=3x5 stride=2x2}}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$conv{kind}"
}}
"""
MACS = 8 * 8 * 8 * 32 * 3 * 5 * 3  # of every output, the window of 3 x 5 and 3 channels


def root(text):
  """The last instruction of a program, its operands and what it calls."""
  program = hlo.parse(text)
  entry = program.computations[program.entry]
  known = {i.name: i for i in entry}
  one = entry[-1]
  return (one, [known[name] for name in one.operands],
          program.computations.get(one.called('calls'), ()))


def fusion(body, operands, result='f32[8]{0}'):
  """Bytes that a fusion of `body` touches; p is f32[1000], q is f32[8]."""
  taken = [f'%{name}' for name in operands]
  parameters = ''.join(
      f'  %{name} = {shape} parameter({operands.index(name)})\n'
      for name, shape in (('p', 'f32[1000]{0}'), ('q', 'f32[8]{0}'))
      if name in operands)
  return kernel_costs.bytes_touched(*root(f"""
%inner (p: f32[1000]) -> f32[8] {{
{parameters}{body}
}}
ENTRY %main (p: f32[1000], q: f32[8]) -> f32[8] {{
  %p = f32[1000]{{0}} parameter(0)
  %q = f32[8]{{0}} parameter(1)
  ROOT %f = {result} fusion({', '.join(taken)}), kind=kLoop, calls=%inner
}}
"""))


@pytest.mark.parametrize('kind, name, operands, result', [
    ('Forward', 'forward', '%x, %w', 'bf16[8,8,8,32]{3,2,1,0}'),
    ('BackwardInput', 'gradient of images', '%d, %w', 'bf16[8,16,16,3]{3,2,1,0}'),
    ('BackwardFilter', 'gradient of kernels', '%x, %d', 'bf16[32,3,5,3]{3,2,1,0}')])
def test_convolutions_of_cudnn(kind, name, operands, result):
  one, taken, inner = root(CONVOLUTION.format(
      kind=kind, operands=operands, result=result, layout='3,2,1,0'))
  assert kernel_costs.flops(one, taken) == 2 * MACS
  assert kernel_costs.convolution(one, taken) == kernel_costs.Convolution(
      name, 'bf16', 'NHWC OHWI')
  x, w, d = 2 * 8 * 16 * 16 * 3, 2 * 32 * 3 * 5 * 3, 2 * 8 * 8 * 8 * 32
  assert kernel_costs.bytes_touched(one, taken, inner) == x + w + d


def test_other_dtypes_and_layouts_of_a_convolution_are_named():
  one, taken, _ = root(CONVOLUTION.format(
      kind='BackwardInput', operands='%d, %w', result='f32[8,16,16,3]{3,2,1,0}',
      layout='2,1,3,0'))
  assert kernel_costs.convolution(one, taken) == kernel_costs.Convolution(
      'gradient of images', 'f32 bf16', 'NHWC OHWI NCHW')


@pytest.mark.parametrize('line', [
    'dot(%a, %b), lhs_batch_dims={0}, rhs_batch_dims={0}, lhs_contracting_dims={2}, '
    'rhs_contracting_dims={1}',
    'custom-call(%a, %b), custom_call_target="__cublas$gemm", backend_config={'
    '"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["2"],'
    '"rhs_contracting_dimensions":["1"],"lhs_batch_dimensions":["0"]}}}'])
def test_matrix_products(line):
  one, taken, _ = root(f"""
ENTRY %main (a: f32[7,2,3], b: f32[7,3,5]) -> f32[7,2,5] {{
  %a = f32[7,2,3]{{2,1,0}} parameter(0)
  %b = f32[7,3,5]{{2,1,0}} parameter(1)
  ROOT %d = f32[7,2,5]{{2,1,0}} {line}
}}
""")
  assert kernel_costs.flops(one, taken) == 2 * 7 * 2 * 3 * 5
  assert kernel_costs.convolution(one, taken) is None


def test_a_fusion_reads_operands_and_writes_results():
  body = '  ROOT %n = f32[1000]{0} negate(%p)'
  assert fusion(body, 'p', 'f32[1000]{0}') == 4 * 2000
  both = """  %n = f32[1000]{0} negate(%p)
  %r = f32[] reduce(%p, %q)
  ROOT %t = (f32[1000]{0}, f32[]) tuple(%n, %r)"""
  assert fusion(both, 'pq', '(f32[1000]{0}, f32[])') == 4 * (1000 + 8 + 1000 + 1)


def test_a_fusion_reads_of_an_operand_what_it_slices():
  body = """  %b = f32[10,100]{1,0} bitcast(%p)
  %s = f32[1,8]{1,0} slice(%b), slice={[0:1], [0:8]}
  ROOT %v = f32[8]{0} bitcast(%s)"""
  assert fusion(body, 'p') == 4 * (8 + 8)
  more = body.replace('ROOT ', '') + '\n  ROOT %w = f32[8]{0} fusion(%v, %p)'
  assert fusion(more, 'p') == 4 * (1000 + 8)


def test_a_fusion_that_slices_much_reads_no_more_than_the_operand():
  slices = ''.join(f'  %s{i} = f32[900]{{0}} slice(%p), slice={{[0:900]}}\n'
                   for i in range(2))
  assert fusion(slices + '  ROOT %a = f32[8]{0} reduce(%s0, %s1)', 'p') == 4 * 1008


def test_a_fusion_that_updates_a_slice_writes_it():
  body = '  ROOT %u = f32[1000]{0} dynamic-update-slice(%p, %q, %q)'
  assert fusion(body, 'pq', 'f32[1000]{0}') == 4 * (8 + 8)


def test_slices_and_updates_alone():
  text = """
ENTRY %main (p: f32[1000], q: f32[8], i: s32[]) -> f32[8] {{
  %p = f32[1000]{{0}} parameter(0)
  %q = f32[8]{{0}} parameter(1)
  %i = s32[] parameter(2)
  ROOT %r = {}
}}
"""
  slice_ = root(text.format('f32[8]{0} dynamic-slice(%p, %i), dynamic_slice_sizes={8}'))
  assert kernel_costs.bytes_touched(*slice_) == 4 * (8 + 8 + 1)
  update = root(text.format('f32[1000]{0} dynamic-update-slice(%p, %q, %i)'))
  assert kernel_costs.bytes_touched(*update) == 4 * (8 + 8 + 1)


def test_an_asynchronous_message_is_not_counted_twice():
  """Its result holds the operand and what each device receives."""
  one, taken, inner = root("""
ENTRY %main (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %r = ((f32[8]{0}), f32[8]{0}) all-reduce-start(%p), to_apply=%add
}
""")
  assert kernel_costs.bytes_touched(one, taken, inner) == 4 * (8 + 8)
