"""Reads programs written by hand, and one that XLA compiles for this CPU."""

import jax
import jax.numpy as jnp
import pytest

from ssl_jax.performance import hlo

TEXT = """
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

FileNames
1 "step.py"

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

ENTRY %main (x.1: f32[4], y: (s32[], bf16[2,3])) -> (f32[4], (bf16[2,3], pred[])) {
  %x.1 = f32[4]{0} parameter(0), metadata={op_name="state[\\'x\\']"}
  %y = (s32[], /*index=1*/bf16[2,3]{0,1:T(8,128)(2,1)}) parameter(1)
  %c = f32[3]{0} constant({5, 3, 1})
  %f.2 = f32[4]{0} fusion(%x.1, /*index=1*/%c), kind=kLoop, calls=%add, \
metadata={op_name="jit(step)/views/vmap()/add" stack_frame_id=3}
  ROOT %t = (f32[4]{0}, (bf16[2,3]{0,1}, pred[])) tuple(%f.2, %y)
}
"""


@pytest.fixture(scope='module')
def program():
  return hlo.parse(TEXT)


def test_computations_and_their_instructions(program):
  names = {name: [i.name for i in body] for name, body in program.computations.items()}
  assert names == {'add': ['a', 'b', 'sum'], 'main': ['x.1', 'y', 'c', 'f.2', 't']}
  assert program.entry == 'main'
  assert [i.op for i in program.computations['main']] == [
      'parameter', 'parameter', 'constant', 'fusion', 'tuple']
  assert [i.name for body in program.computations.values() for i in body if i.root] == [
      'sum', 't']


def test_what_an_instruction_holds(program):
  x, y, constant, fusion, root = program.computations['main']
  assert fusion.operands == ('x.1', 'c') and root.operands == ('f.2', 'y')
  assert (x.literal, y.literal, constant.operands) == ('0', '1', ())
  assert fusion.called('calls') == 'add' and fusion.called('body') == ''
  assert fusion.op_name == 'jit(step)/views/vmap()/add'
  assert x.op_name == r"state[\'x\']" and y.op_name == ''


def test_arrays_of_nested_tuples_are_flat(program):
  root = program.computations['main'][-1]
  assert root.arrays == (
      hlo.Array('f32', (4,), (0,)), hlo.Array('bf16', (2, 3), (0, 1)),
      hlo.Array('pred', (), ()))
  assert root.bytes == 4 * 4 + 2 * 6 + 1
  assert [str(a) for a in root.arrays] == ['f32[4]', 'bf16[2,3]', 'pred[]']


@pytest.mark.parametrize('dtype, size', [
    ('f32', 4), ('bf16', 2), ('pred', 1), ('s4', 0.5), ('f8e4m3fn', 1), ('u64', 8)])
def test_bytes_of_an_element(dtype, size):
  assert hlo.itemsize(dtype) == size


def test_half_bytes_are_rounded_up():
  assert hlo.arrays('s4[3]{0}')[0].bytes == 2


def test_a_text_without_a_program():
  with pytest.raises(ValueError, match='no line starts with ENTRY'):
    hlo.parse('nothing')


def test_reads_a_compiled_program():
  text = jax.jit(lambda x, y: (x @ y).sum(0)).lower(
      jnp.zeros((4, 5)), jnp.zeros((5, 6))).compile().as_text()
  program = hlo.parse(text)
  entry = program.computations[program.entry]
  parameters = [i.arrays[0].shape for i in entry if i.op == 'parameter']
  assert sorted(parameters) == [(4, 5), (5, 6)]
  assert entry[-1].root and entry[-1].arrays[0].shape == (6,)
