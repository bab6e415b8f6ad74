"""Tests where arrays are placed, and round trips between host and devices."""

import jax
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib


def test_rows_make_a_round_trip():
  mesh = mesh_lib.data_mesh()
  rows = np.arange(16).reshape(16, 1)
  np.testing.assert_array_equal(mesh_lib.gather(mesh_lib.put_sharded(mesh, rows)), rows)


def test_replicated_arrays_are_whole_on_every_device():
  mesh = mesh_lib.data_mesh()
  tree = {'a': np.arange(3.), 'b': np.int32(7)}
  placed = mesh_lib.put_replicated(mesh, tree)
  assert placed['a'].sharding == mesh_lib.replicated(mesh)
  for shard in placed['a'].addressable_shards:
    np.testing.assert_array_equal(shard.data, tree['a'])
  jax.tree.map(np.testing.assert_array_equal, mesh_lib.gather(placed), tree)


def test_sharded_arrays_are_split_by_rows_in_order():
  mesh = mesh_lib.data_mesh(jax.devices()[:4])
  rows = np.arange(24).reshape(8, 3)
  placed = mesh_lib.put_sharded(mesh, rows)
  assert placed.sharding == mesh_lib.sharded(mesh)
  for i, device in enumerate(jax.devices()[:4]):
    shard, = (s for s in placed.addressable_shards if s.device == device)
    np.testing.assert_array_equal(shard.data, rows[2 * i:2 * i + 2])


@pytest.mark.parametrize('processes, process, rows', [
    (1, 0, range(8)), (2, 1, range(4, 8)), (4, 2, range(4, 6))])
def test_every_process_feeds_its_own_rows(monkeypatch, processes, process, rows):
  monkeypatch.setattr(jax, 'process_count', lambda: processes)
  monkeypatch.setattr(jax, 'process_index', lambda: process)
  assert list(range(8))[mesh_lib.local_rows(8)] == list(rows)


@pytest.mark.parametrize('batch_size, near', [(12, '8 or 16'), (5, '8'), (17, '16')])
def test_a_batch_that_devices_cannot_share_names_those_that_they_can(batch_size, near):
  mesh = mesh_lib.data_mesh()
  mesh_lib.check_divisible(mesh, 24, 'batch')
  with pytest.raises(errors.UserError, match=f'is {batch_size}, .*example {near}'):
    mesh_lib.check_divisible(mesh, batch_size, 'batch')


def scaled(rows, whole):
  return rows * whole['w'] + rows.shape[0]  # rows that one device sees


def test_rows_are_mapped_by_the_device_that_holds_them():
  mesh = mesh_lib.data_mesh()
  rows, whole = np.arange(16.), {'w': np.float32(3)}
  assert mesh_lib.num_devices() == 1
  np.testing.assert_array_equal(mesh_lib.shard_map_rows(scaled, rows, whole),
                                3 * rows + 16)

  @jax.jit
  def everywhere(rows, whole):
    with mesh_lib.use_mesh(mesh):
      assert mesh_lib.num_devices() == 8
      return mesh_lib.shard_map_rows(scaled, rows, whole)

  result = everywhere(mesh_lib.put_sharded(mesh, rows),
                      mesh_lib.put_replicated(mesh, whole))
  np.testing.assert_array_equal(result, 3 * rows + 2)
  assert result.sharding.is_equivalent_to(mesh_lib.sharded(mesh), 1)


def test_gradients_by_what_every_device_reads_are_summed_over_rows():
  mesh = mesh_lib.data_mesh()
  rows = np.arange(16., dtype=np.float32)

  @jax.jit
  def gradient(rows, w):
    with mesh_lib.use_mesh(mesh):
      return jax.grad(lambda w: mesh_lib.shard_map_rows(
          lambda rows, w: rows * w, rows, w).sum())(w)

  found = gradient(mesh_lib.put_sharded(mesh, rows),
                   mesh_lib.put_replicated(mesh, np.float32(2)))
  assert float(found) == rows.sum()


def test_all_gather_makes_the_whole_available_everywhere():
  mesh = mesh_lib.data_mesh()
  rows = np.arange(16.)

  @jax.jit
  def gathered(rows):
    with mesh_lib.use_mesh(mesh):
      return mesh_lib.all_gather(rows)

  found = gathered(mesh_lib.put_sharded(mesh, rows))
  assert found.sharding.is_fully_replicated
  np.testing.assert_array_equal(found, rows)


def test_a_cpu_keeps_a_state_in_the_default_layout():
  tree = {'kernel': np.zeros((3, 3, 2, 4)), 'bias': np.zeros(4)}
  mesh = mesh_lib.data_mesh()
  assert mesh_lib.stored(tree, mesh) == dict.fromkeys(tree, mesh_lib.replicated(mesh))


@pytest.mark.parametrize('rows, per_device', [(16, 2), (12, 12)])
def test_rows_are_divided_if_they_can_be(rows, per_device):
  mesh = mesh_lib.data_mesh(jax.devices()[:8])

  def divided(x):
    with mesh_lib.use_mesh(mesh):
      return mesh_lib.divide_rows(x + 1)
  x = jax.device_put(np.zeros((rows, 3)), mesh_lib.replicated(mesh))
  got = jax.jit(divided)(x)
  assert {shard.data.shape for shard in got.addressable_shards} == {(per_device, 3)}
  np.testing.assert_array_equal(got, np.ones((rows, 3)))
