"""Tests the program of the training step for a GPU that is not present.

The limits are slightly above the values of the present program. Lower them when it gets
smaller. A compilation takes one to two minutes, so each program is compiled once.
"""

import importlib
import math
import re

import jax
import pytest

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import ahead_of_time, collectives, topologies, workload

KERNELS, SMALL, GIB = 408, 110, 19.9  # ResNet-18, 512 pairs: 401, 105 and 19.76
CARDS = 8

pytestmark = pytest.mark.skipif(
    not topologies.gpu_compiler(),
    reason="the GPU compiler is not installed: pip install -e '.[cuda]'")


def config(network, images):
  fields = importlib.import_module('configs.simclr_cifar10').get_config(network)
  fields.feed.batch_size = images
  return fields.to_dict()


def compiled(fields, topology, folder):
  """Returns the measures of a compiled step, and its text."""
  path = folder / 'step.hlo'
  return ahead_of_time.run(fields, topology, path), path.read_text()


def state_of(fields):
  """Returns the shapes of the state by path."""
  run = workload.abstract_run(fields, mesh_lib.data_mesh(jax.devices()[:1]))
  return jax.eval_shape(
      lambda key: run.train_step.init(key, run.feed.image_shape), jax.random.key(0))


@pytest.fixture(scope='module')
def resnet18(tmp_path_factory):
  return compiled(config('resnet18', 512), 'h100', tmp_path_factory.mktemp('one'))


@pytest.fixture(scope='module')
def resnet20(tmp_path_factory):
  return compiled(config('resnet20', 64 * CARDS), f'h100:{CARDS}',
                  tmp_path_factory.mktemp('eight'))


def test_few_kernels_and_few_bytes(resnet18):
  kernels = resnet18[0]['kernels']
  assert kernels['kernels'] <= KERNELS
  assert kernels['small_kernels'] <= SMALL
  assert kernels['bytes'] / 2**30 <= GIB


def test_the_program_computes_what_the_network_needs(resnet18):
  """FLOPs counted kernel by kernel are those of the layers; the rest is small."""
  result, _ = resnet18
  needed = result['train_flops_per_image'] * result['images_per_chip']
  assert result['flops'] == pytest.approx(needed, rel=2e-3)
  assert result['compiler_seconds'] > result['compute_seconds']  # the roofline


def test_every_convolution_is_bfloat16_in_the_order_that_tensor_cores_like(resnet18):
  found = resnet18[0]['kernels']['convolutions']
  assert {(c['dtypes'], c['layouts']) for c in found} == {('bf16', 'NHWC OHWI')}
  # One in the stem, 16 in blocks, three in shortcuts; images have no gradient.
  assert {c['kind']: c['count'] for c in found} == {
      'forward': 20, 'gradient of kernels': 20, 'gradient of images': 19}


def test_no_activation_of_the_encoder_is_transposed_or_copied(resnet18):
  moved = [a for a in resnet18[0]['kernels']['rearranged_activations']
           if a['part'].split()[0] in ('encoder', 'convolutions', 'heads')]
  assert not moved


def test_the_whole_state_is_donated_and_nothing_calls_the_host(resnet18):
  result, text = resnet18
  leaves = jax.tree.leaves(state_of(config('resnet18', 512)))
  assert result['memory_bytes']['of them shared'] == sum(
      math.prod(x.shape) * x.dtype.itemsize for x in leaves)
  assert len(re.findall('(?:may|must)-alias', text)) == len(leaves)
  assert not re.search(r'callback|infeed|outfeed| send\(| recv\(', text)


def test_messages_of_eight_cards(resnet20):
  _, text = resnet20
  found = collectives.parse(text)
  state = state_of(config('resnet20', 64 * CARDS))
  trained = jax.tree_util.tree_leaves_with_path(
      (state.variables.params, state.probe.params))
  norms = [x for path, x in trained if path[-1].key == 'scale']
  # A normalisation sends two moments and, backwards, two sums, which are the gradients
  # of its scale and bias; all other parameters send their gradient.
  others = [x for path, x in trained
            if not getattr(path[-2], 'key', '').startswith('bn')]
  expected = sum(x.size for x in others) + 4 * sum(x.size for x in norms)
  sent = [(math.prod(shape), c.count) for c in found if c.op == 'all-reduce'
          for _, shape in c.arrays]
  scalars = sum(n * count for n, count in sent) - expected
  assert 0 <= scalars <= 8  # of the loss and the metrics
  assert {d for c in found for d, _ in c.arrays} == {'f32'}
  # A message for a normalisation and direction; the gradients are sent in two.
  assert sum(c.count for c in found if c.op == 'all-reduce') == 2 * len(norms) + 2
  # Embeddings, and a number for each.
  dim, rows = 128, 2 * 64 * CARDS
  assert sum(c.bytes * c.count for c in found
             if c.op == 'all-gather') == 4 * rows * (dim + 1)
  assert {c.op for c in found} == {'all-reduce', 'all-gather'}
