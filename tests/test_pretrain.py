"""What pre-training is put together from; the loop itself is tests/test_train_loop."""

import numpy as np
import stub_encoder
import tiny

from ssl_jax import methods, pretrain
from ssl_jax.data import sources
from ssl_jax.train import loop
from ssl_jax.train import mesh as mesh_lib


def images_of(batches):
  return [image.tobytes() for batch in batches
          for image in np.asarray(batch['image'])[np.asarray(batch['mask'])]]


def test_the_knn_monitor_looks_up_images_that_are_not_in_its_bank():
  fields = {**tiny.config(), 'model': {'name': 'stub'}}
  with stub_encoder.registered():
    method = methods.build(fields, 4)
  whole = [image.tobytes() for image in
           sources.load(split='train', validation_fraction=0, **tiny.DATA).images]
  assert len(set(whole)) == 80
  mesh = mesh_lib.data_mesh()

  def monitored(**train):
    monitor = pretrain._knn_monitor(fields, method, mesh, loop.TrainConfig(2, **train))
    return images_of(monitor.bank()), images_of(monitor.queries())

  bank, queries = monitored()
  assert len(bank) == 72 and len(queries) == 8  # a tenth is held out
  assert set(bank).isdisjoint(queries) and sorted(bank + queries) == sorted(whole)
  few, again = monitored(knn_examples=5)
  assert few == bank[:5] and again == queries
