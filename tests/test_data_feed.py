"""Tests that both feeds give the same sharded batches, in the order of `Shuffled`."""

import logging
import re

import jax
import numpy as np
import pytest
from indexed_images import SEED, B, Indexed, N, assert_is_step

from ssl_jax import config, errors
from ssl_jax.data import datasets, feed, notices, sources, streamed
from ssl_jax.parallel import mesh as mesh_lib


@pytest.fixture(scope='module')
def mesh():
  return mesh_lib.data_mesh()


@pytest.fixture
def resident(mesh):
  return feed.ResidentFeed(Indexed().load_into_memory(), B, SEED, mesh)


@pytest.fixture
def stream(mesh):
  with_close = streamed.StreamedFeed(Indexed(), B, SEED, mesh)
  yield with_close
  with_close.close()


@pytest.mark.parametrize('name', ['resident', 'stream'])
def test_batches_follow_the_order_over_three_epochs(name, request):
  subject = request.getfixturevalue(name)
  assert (subject.num_examples, subject.batch_size) == (N, B)
  assert subject.steps_per_epoch == 4
  for step in range(12):
    assert_is_step(subject.batch_at(step), step)


@pytest.mark.parametrize('name', ['resident', 'stream'])
def test_jumps_and_repeats(name, request):
  subject = request.getfixturevalue(name)
  for step in (7, 7, 8, 3, 4, 100_000, 0):
    assert_is_step(subject.batch_at(step), step)


@pytest.mark.parametrize('name', ['resident', 'stream'])
def test_select_within_jit_equals_batch_at(name, request):
  subject = request.getfixturevalue(name)
  batch = jax.jit(subject.select)(subject.inputs(6), np.int32(6))
  assert_is_step(batch, 6)


@pytest.mark.parametrize('name', ['resident', 'stream'])
def test_batches_are_sharded_over_all_devices(name, request, mesh):
  subject = request.getfixturevalue(name)
  for x in subject.batch_at(0).values():
    assert x.sharding.is_equivalent_to(mesh_lib.sharded(mesh), x.ndim)
    assert {s.data.shape[0] for s in x.addressable_shards} == {B // 8}


def test_one_dispatch_may_cross_an_epoch(resident):
  inputs, traces = resident.inputs(2, steps=4), []

  @jax.jit
  def select(inputs, step):
    traces.append(step)
    return resident.select(inputs, step)

  for step in range(2, 6):
    assert_is_step(select(inputs, np.int32(step)), step)
  assert len(traces) == 1
  with pytest.raises(ValueError, match='more than an epoch'):
    resident.inputs(0, steps=5)


def test_no_host_work_within_an_epoch(resident, mesh):
  first = resident.inputs(4)
  step = mesh_lib.put_replicated(mesh, np.int32(7))
  with jax.transfer_guard('disallow'):
    jax.jit(resident.select)(resident.inputs(7), step)
  assert all(a is b for a, b in zip(first, resident.inputs(7), strict=True))
  assert resident.inputs(8).images is first.images
  assert resident.inputs(8).orders is not first.orders


def test_devices_pick_their_rows_without_talking(resident, mesh):
  step = mesh_lib.put_replicated(mesh, np.int32(3))
  hlo = jax.jit(resident.select).lower(resident.inputs(3), step).compile().as_text()
  assert 'gather' in hlo
  assert not re.search('all-gather|all-reduce|all-to-all|collective', hlo)


class Canvas(Indexed):
  """Returns images on a canvas of 4 x 4; image i has 1 + i % 3 rows and 2 columns."""

  image_shape, canvas = (4, 4, 1), True

  def read(self, indices):
    found = super().read(indices)
    rows = self.blank(len(indices))
    rows.images[:, :2, :3] = found.images
    sizes = np.stack([1 + indices % 3, 2 + 0 * indices], 1)
    rows.valid_sizes[found.mask] = sizes[found.mask]
    return rows._replace(labels=found.labels, mask=found.mask)


@pytest.mark.parametrize('mode', ['resident', 'streamed'])
def test_extents_come_with_their_images(mesh, mode):
  source = sources.subset(Canvas(bad=[3]), np.arange(36), 'some')
  subject = feed.make_feed(source, feed.FeedConfig(B, mode), seed=0, mesh=mesh)
  for step in (0, 1, 6):
    batch = jax.jit(subject.select)(subject.inputs(step), np.int32(step))
    image, valid_size = np.asarray(batch['image']), np.asarray(batch['valid_size'])
    assert valid_size.dtype == np.int32
    assert set(batch) == {'image', 'label', 'valid_size'}
    np.testing.assert_array_equal(
        valid_size, np.stack([1 + image[:, 0, 0, 0] % 3, np.full(B, 2)], 1))
    np.testing.assert_array_equal(batch['label'], image[:, 0, 0, 0] + 100)
    assert batch['valid_size'].sharding.is_equivalent_to(mesh_lib.sharded(mesh), 2)
  subject.close()


@pytest.mark.parametrize('as_arrays', [True, False])
def test_evaluation_of_a_canvas(mesh, as_arrays):
  source = Canvas(13, bad=[] if as_arrays else [5])
  source = source.load_into_memory() if as_arrays else source
  batches = list(feed.eval_batches(source, 8, mesh))
  mask, valid_size = (np.concatenate([b[k] for b in batches])
                      for k in ('mask', 'valid_size'))
  at = np.flatnonzero(mask)
  assert at.tolist() == [i for i in range(13) if as_arrays or i != 5]
  np.testing.assert_array_equal(valid_size[at], np.stack([1 + at % 3, 0 * at + 2], 1))
  assert (valid_size[~mask] == 4).all()  # as large as the canvas: no view is empty


@pytest.mark.parametrize('fraction,kind', [
    (0.25, feed.ResidentFeed), (1e-12, streamed.StreamedFeed)])
def test_auto_compares_data_with_memory(mesh, fraction, kind):
  chosen = feed.make_feed(Indexed(), feed.FeedConfig(B, resident_fraction=fraction),
                          seed=0, mesh=mesh)
  assert type(chosen) is kind
  chosen.close()


@pytest.mark.parametrize('mode,kind', [
    ('resident', feed.ResidentFeed), ('streamed', streamed.StreamedFeed)])
def test_mode_by_config(mesh, mode, kind):
  chosen = feed.make_feed(Indexed(), feed.FeedConfig(B, mode), seed=SEED, mesh=mesh)
  assert type(chosen) is kind
  assert_is_step(chosen.batch_at(9), 9)
  chosen.close()


@pytest.mark.parametrize('fields,sentence', [
    (dict(batch_size=40), 'batch_size is 40, more than the 37 images'),
    (dict(batch_size=12), '8 devices cannot share'),
    (dict(batch_size=8, mode='steamed'), "did you mean 'streamed'")])
def test_mistakes_are_reported_before_anything_is_decoded(mesh, fields, sentence):
  source = Indexed()
  with pytest.raises(errors.UserError, match=sentence):
    feed.make_feed(source, config.build(feed.FeedConfig, fields, 'feed'), seed=0,
                   mesh=mesh)
  assert not source.asked


def test_where_images_are_kept_is_logged_once_a_data_set(mesh, caplog, monkeypatch):
  monkeypatch.setattr(feed, 'device_memory', lambda mesh: 4_000_000)
  notices.log_once.cache_clear()
  with caplog.at_level(logging.INFO):
    for n, mode in ((1440, 'auto'), (1440, 'auto'), (160_000, 'auto'),
                    (1440, 'streamed')):
      source = sources.Arrays(np.zeros((n, 16, 16, 1), np.uint8), np.zeros(n, np.int32),
                           name='digits/train')
      feed.make_feed(source, feed.FeedConfig(8, mode), seed=0, mesh=mesh).close()
  assert [r.getMessage() for r in caplog.records] == [
      'digits/train: 1,440 images, kept on the device (0.4 MB)',
      'digits/train: 160,000 images, read as they are needed (41 MB decoded; 4.0 MB of '
      'memory, of which they may take 0.25)',
      'digits/train: 1,440 images, read as they are needed (0.4 MB decoded; '
      "config.feed.mode is 'streamed')"]


@pytest.mark.parametrize('n, text', [
    (368_128, '0.4 MB'), (153_600_000, '154 MB'), (25.28e9, '25.3 GB')])
def test_megabytes(n, text):
  assert feed.megabytes(n) == text


@pytest.mark.parametrize('as_arrays', [True, False])
@pytest.mark.parametrize('n', [37, 32, 3])
def test_evaluation_sees_every_image_once_in_order(mesh, n, as_arrays):
  source = Indexed(n).load_into_memory() if as_arrays else Indexed(n)
  batches = list(feed.eval_batches(source, 16, mesh))
  assert len(batches) == -(-n // 16)
  image, label, mask = (np.concatenate([b[k] for b in batches])
                        for k in ('image', 'label', 'mask'))
  assert mask.tolist() == [True] * n + [False] * (len(mask) - n)
  np.testing.assert_array_equal(label[mask], np.arange(n) + 100)
  np.testing.assert_array_equal(image[mask][:, 0, 0, 0], np.arange(n))
  assert (image[~mask] == 0).all() and (label[~mask] == -1).all()
  assert batches[0]['mask'].sharding.is_equivalent_to(mesh_lib.sharded(mesh), 1)


def test_evaluation_masks_bad_images(mesh):
  batch, = feed.eval_batches(Indexed(8, bad=[2]), 8, mesh)
  assert batch['mask'].tolist() == [True, True, False] + [True] * 5


def test_feeds_agree_on_real_images(tfds_data_dir, mesh):
  source = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  source = sources.subset(source, np.arange(100), 'some')
  both = [feed.make_feed(source, feed.FeedConfig(16, mode), seed=1, mesh=mesh)
          for mode in ('resident', 'streamed')]
  for step in (0, 5, 6):
    one, other = (f.batch_at(step) for f in both)
    np.testing.assert_array_equal(one['image'], other['image'])
    np.testing.assert_array_equal(one['label'], other['label'])
  both[1].close()
