"""Tests which examples a streamed feed reads, and what replaces bad images."""

import numpy as np
import pytest
from absl import flags
from indexed_images import SEED, B, Indexed, N, assert_is_step

from ssl_jax import errors
from ssl_jax.data import order, streamed
from ssl_jax.parallel import mesh as mesh_lib


@pytest.fixture(scope='module')
def mesh():
  return mesh_lib.data_mesh()


def test_a_process_reads_only_its_own_rows(mesh):
  source, plan = Indexed(), order.Shuffled(N, B, SEED)
  halves = [streamed.BatchBlocks(source, plan, slice(*r), 2, True)
            for r in ((0, 4), (4, 8))]
  for step in (0, 5):
    parts = [blocks[step * 2 + k].labels for blocks in halves for k in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), plan.indices(step) + 100)
  source.asked.clear()
  halves[1][0]
  assert source.asked == plan.indices(0)[4:6].tolist()


def test_worker_processes_change_nothing(mesh):
  if not flags.FLAGS.is_parsed():  # as in a binary; Grain's workers need it
    flags.FLAGS.mark_as_parsed()
  subject = streamed.StreamedFeed(Indexed().load_into_memory(), B, SEED, mesh,
                                  streamed.LoaderConfig(threads=2, processes=2))
  for step in (3, 4, 5):
    assert_is_step(subject.batch_at(step), step)
  subject.close()


def test_training_replaces_a_bad_image_by_the_next_good_one(mesh):
  subject = streamed.StreamedFeed(Indexed(16, bad=[3, 4, 15]), 16, 0, mesh)
  labels = np.sort(subject.batch_at(0)['label']) - 100
  assert labels.tolist() == [0, 0, 1, 2, 5, 5, 5, *range(6, 15)]
  subject.close()


def test_an_error_in_a_worker_reaches_the_loop(mesh):
  subject = streamed.StreamedFeed(Indexed(8, bad=range(8)), 8, 0, mesh)
  with pytest.raises(errors.UserError, match='no image that decodes'):
    subject.batch_at(0)
  subject.close()
