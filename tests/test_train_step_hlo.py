"""Tests that the compiled step has fast convolutions and few messages."""

import collections
import functools
import math
import re

import jax
import pytest
import stub_encoder
import tiny

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import platforms
from ssl_jax.performance import collectives
from ssl_jax.train import online_probe, step

BATCH, DEVICES = 16, 8


def traced(fields):
  """Returns the training step traced for eight devices, and the shapes of its state."""
  method, tx, feed, mesh = tiny.parts(fields, DEVICES)
  probe = online_probe.OnlineProbe(num_classes=4)
  replicated = functools.partial(
      jax.tree.map, lambda x: jax.ShapeDtypeStruct(
          x.shape, x.dtype, sharding=mesh_lib.replicated(mesh)))
  key = jax.eval_shape(lambda: jax.random.key(0))
  one = step.TrainStep(method, tx, probe, total_steps=10)
  state = replicated(jax.eval_shape(lambda key: one.init(key, feed.image_shape), key))
  dispatch = step.make_dispatch(one, feed.select, mesh, state)
  return dispatch.trace(state, replicated(key), feed.inputs(0), 1), state


@functools.cache
def compiled(method):
  """Returns stubs and a real network, whose last maps are as large as its kernels."""
  fields = tiny.config(method)
  fields['data']['image_size'] = 16
  if method != 'simclr':
    fields['model'] = {'name': 'stub'}
  with stub_encoder.registered():
    trace, state = traced(fields)
  return trace.lower().compile(), state


METHODS = pytest.mark.parametrize('method', ['simclr', 'rotnet', 'supervised'])


def elements(found, op):
  """Counts the results of `op` by their size, without scalars."""
  arrays = [math.prod(shape) for c in found if c.op == op
            for _, shape in c.arrays for _ in range(c.count)]
  return collections.Counter(n for n in arrays if n > 1)


@METHODS
def test_devices_sum_gradients_and_moments_and_gather_embeddings(method):
  program, state = compiled(method)
  found = collectives.parse(program.as_text())
  assert {c.op for c in found} <= {'all-reduce', 'all-gather'}
  trained = jax.tree_util.tree_leaves_with_path(
      (state.variables.params, state.probe.params))
  expected, norms = collections.Counter(), 0
  for path, x in trained:
    # A normalisation sends two moments and, backwards, two sums as one array, which are
    # the gradients of its scale and its bias; all other parameters send their gradient.
    module = getattr(path[-2], 'key', '') if len(path) > 1 else ''
    if not module.startswith('bn'):
      expected[x.size] += 1
    elif path[-1].key == 'scale':
      expected[x.size] += 2
      expected[2 * x.size] += 1
      norms += 1
  assert elements(found, 'all-reduce') == expected
  # A normalisation in float32 sends three messages. The rest are sent together, but XLA
  # may make several groups of them.
  assert sum(c.count for c in found if c.op == 'all-reduce') <= 3 * norms + 4
  dim = tiny.config()['projector']['dim']
  assert elements(found, 'all-gather') == (
      {2 * BATCH * dim: 1, 2 * BATCH: 1} if method == 'simclr' else {})


@pytest.mark.parametrize('method', ['byol', 'simsiam'])
def test_without_negatives_nothing_is_gathered(method):
  program, state = compiled(method)
  found = collectives.parse(program.as_text())
  assert {c.op for c in found} == {'all-reduce'}
  # Messages are gradients, moments and pairs of sums; none has a row for each image.
  sizes = {x.size for x in jax.tree.leaves((state.variables.params,
                                            state.probe.params))}
  moments = {x.size for x in jax.tree.leaves(state.variables.model_state)}
  assert set(elements(found, 'all-reduce')) <= (
      sizes | moments | {2 * size for size in moments})


def test_barlow_twins_sums_correlations_and_gathers_nothing():
  """The matrix is summed over all devices, so the loss is that of the global batch."""
  found = collectives.parse(compiled('barlow_twins')[0].as_text())
  assert {c.op for c in found} == {'all-reduce'}
  dim = tiny.config()['projector']['dim']
  assert elements(found, 'all-reduce')[dim**2] >= 1
  assert BATCH * dim not in elements(found, 'all-reduce')


@pytest.mark.parametrize('method', ['simclr', 'rotnet', 'supervised', 'byol',
                                    'simsiam', 'barlow_twins', 'moco_v2', 'nnclr'])
def test_the_whole_state_is_donated_and_nothing_calls_the_host(method):
  program, state = compiled(method)
  text = program.as_text()
  size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
  assert program.memory_analysis().alias_size_in_bytes == size
  assert len(re.findall('(?:may|must)-alias', text)) == len(jax.tree.leaves(state))
  assert not re.search(r'callback|infeed|outfeed| send\(| recv\(', text)


def test_convolutions_on_the_cpu_have_the_layout_that_it_is_fast_at():
  text = compiled('simclr')[0].as_text()
  layouts = re.findall(r' convolution\(.*dim_labels=([^\s,]+)', text)
  # Seven forward, seven for the kernels, six for the images: the first has no need.
  assert layouts == ['b01f_01io->b01f'] * 20


def test_accelerators_convolve_in_bfloat16():
  with platforms.compile_for('tpu'):  # whatever is not a CPU
    trace, _ = traced(tiny.config(precision='bfloat16'))
  for platform in ('tpu', 'cuda'):
    text = trace.lower(lowering_platforms=(platform,)).as_text()
    convolutions = re.findall(
        r'stablehlo\.convolution.* : \(tensor<\w+x(\w+)>, tensor<\w+x(\w+)>\) -> '
        r'tensor<\w+x(\w+)>', text)
    assert convolutions == [('bf16', 'bf16', 'bf16')] * 20
