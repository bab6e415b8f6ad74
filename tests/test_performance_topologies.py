"""Tests the names of devices to compile for, and what is missing to do so."""

import importlib.metadata
import importlib.util

import jax
import pytest

from ssl_jax import errors
from ssl_jax.performance import hardware, topologies

needs_gpu_compiler = pytest.mark.skipif(
    not topologies.gpu_compiler(),
    reason="the GPU compiler is not installed: pip install -e '.[cuda]'")


@pytest.mark.parametrize('name, sentence', [
    ('v5e', 'give one of v4, v5e'), ('v9:2x2', 'v9:2x2'), ('v5e:2', 'for example v4'),
    ('h100:9', 'number of GPUs of one host'), ('h100:0', 'h100:0'),
    ('h100:2x2', 'h100:8'), ('a10', 'one of a100, h100, h200')])
def test_no_such_topology(name, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    topologies.describe(name)


def test_without_the_tpu_compiler_a_sentence_says_so(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install -e '\.\[tpu\]'"):
    topologies.describe('v5e:2x2')


def test_without_the_gpu_compiler_a_sentence_says_so(monkeypatch):
  def version(name):
    raise importlib.metadata.PackageNotFoundError(name)
  monkeypatch.setattr(importlib.metadata, 'version', version)
  assert topologies.gpu_compiler() == ''
  with pytest.raises(errors.UserError, match=r"h100.*pip install -e '\.\[cuda\]'"):
    topologies.describe('h100')


@pytest.mark.parametrize('error', [
    NotImplementedError('topology not implemented for cuda'),
    jax.errors.JaxRuntimeError('INVALID_ARGUMENT: unknown option')])
def test_an_old_jax_is_named_with_the_remedy(monkeypatch, error):
  def refuse(**options):
    raise error
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '0.10.2')
  monkeypatch.setattr(topologies.topologies, 'get_topology_desc', refuse)
  with pytest.raises(errors.UserError) as caught:
    topologies.describe('h200:2')
  assert '--topology=h200:2' in str(caught.value)
  assert 'jax-cuda13-pjrt 0.10.2' in str(caught.value)
  assert 'JAX 0.12.0.1 on Python 3.12' in str(caught.value)
  assert str(error) in str(caught.value)


@pytest.mark.parametrize('name', topologies.CARDS)
def test_cards_are_those_of_the_table_of_devices(name):
  """Peaks that a kernel can reach are a little below the data sheet's."""
  card = topologies.CARDS[name]
  device = hardware.find(card.kind)
  assert device.name == name.upper()
  assert 0.85 < device.bandwidth / card.bandwidth < 1
  assert card.memory == pytest.approx(device.memory, rel=0.07)
  # Published float32 peaks in TFLOP/s: A100 19.5, H100 and H200 66.9.
  peak = card.cores * card.fpus_per_core * 2 * card.clock / 1e3
  published = {'a100': 19.5, 'h100': 66.9, 'h200': 66.9}[name]
  assert peak == pytest.approx(published, rel=2e-3)


@needs_gpu_compiler
@pytest.mark.parametrize('name, count', [('a100', 1), ('h100', 1), ('h200:8', 8)])
def test_gpus_that_are_not_here(name, count):
  found = topologies.describe(name)
  assert found.platform == 'cuda' and len(found.devices) == count
  card = topologies.CARDS[name.split(':')[0]]
  assert {d.device_kind for d in found.devices} == {card.kind}
  assert found.compiler.startswith('jax-cuda1') and jax.default_backend() == 'cpu'


@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None,
                    reason="the TPU compiler is missing: pip install -e '.[tpu]'")
def test_chips_that_are_not_here():
  found = topologies.describe('v5e:2x2')
  assert found.platform == 'tpu' and len(found.devices) == 4
  assert hardware.find(found.devices[0].device_kind).name == 'TPU v5e'
  assert found.compiler.startswith('libtpu ')
  with pytest.raises(errors.UserError, match='does not know'):
    topologies.describe('v5e:3x3')
