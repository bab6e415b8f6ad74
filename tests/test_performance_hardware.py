"""Tests the table of devices, and the measurement of this CPU."""

import types

from ssl_jax.performance import hardware


def test_devices_by_kind():
  assert hardware.find('NVIDIA H100 80GB HBM3').name == 'H100'
  assert hardware.find('TPU v5 lite').name == 'TPU v5e'
  assert hardware.find('TPU v5').name == hardware.find('TPU v5p').name == 'TPU v5p'
  assert hardware.find('NVIDIA A100-SXM4-40GB').memory == 40e9
  assert hardware.find('Abacus') is None


def test_the_longest_prefix_of_a_kind_counts():
  assert hardware.find('NVIDIA A100-SXM4-80GB').memory == 80e9
  assert hardware.find('TPU v5 lite').links.dimensions == 2
  assert hardware.find('TPU v5').links.dimensions == 3


def test_links_of_gpus():
  """Each direction has half of what data sheets give for both."""
  assert hardware.find('NVIDIA H100 80GB HBM3').links.bandwidth == 900e9 / 2
  assert hardware.find('NVIDIA A100-SXM4-80GB').links.bandwidth == 600e9 / 2


def test_this_cpu_is_measured_by_a_product_and_a_copy(monkeypatch):
  seconds = iter(range(100))
  monkeypatch.setattr(hardware, 'time', types.SimpleNamespace(
      perf_counter=lambda: next(seconds)))  # every call takes a second
  found = hardware.measure_cpu(memory=5, size=8, megabytes=1)
  assert found.flops == 2 * 8**3 and found.memory == 5
  assert found.bandwidth == 2 * 1e6  # read once, written once
