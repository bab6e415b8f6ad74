"""Tests how a pre-training run is assembled; test_train_loop.py tests the loop."""

import dataclasses

import numpy as np
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.data import datasets
from ssl_jax.jobs import monitor, pretrain, workdir
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import loop, training


def images_of(batches):
  return [image.tobytes() for batch in batches
          for image in np.asarray(batch['image'])[np.asarray(batch['mask'])]]


def test_the_online_knn_classifies_images_that_are_not_in_its_bank():
  fields = {**tiny.config(), 'model': {'name': 'stub'}}
  with stub_encoder.registered():
    method = methods.build(fields, 4)
  whole = [image.tobytes() for image in
           datasets.load(split='train', validation_fraction=0, **tiny.DATA).images]
  assert len(set(whole)) == 80
  mesh = mesh_lib.data_mesh()

  def images_of_knn(**train):
    online_knn = monitor.build_online_knn(
        datasets.DataConfig(**tiny.DATA), training.TrainConfig(2, **train), method,
        mesh)
    return images_of(online_knn.bank()), images_of(online_knn.queries())

  bank, queries = images_of_knn()
  assert len(bank) == 72 and len(queries) == 8  # a tenth is held out
  assert set(bank).isdisjoint(queries) and sorted(bank + queries) == sorted(whole)
  few, again = images_of_knn(knn_examples=5)
  assert few == [bank[i * 72 // 5] for i in range(5)] and again == queries


def prepared(tmp_path, **changed):
  """Returns the training run of a config, without a step of training."""
  fields = {**tiny.config(), 'model': {'name': 'stub'}, **changed}
  with stub_encoder.registered():
    return pretrain.prepare(pretrain.parse(fields), fields, tmp_path, 'a')


def test_the_seed_of_the_config_draws_the_order(tmp_path):
  zero, one, again = (prepared(tmp_path, seed=seed) for seed in (0, 1, 1))
  assert (zero.seed, one.seed) == (0, 1)
  orders = [np.concatenate([run.feed.batch_at(step)['label'] for step in range(5)])
            .tolist() for run in (zero, one, again)]
  assert orders[0] != orders[1] == orders[2]
  assert sorted(orders[0]) == sorted(orders[1])


def test_an_epoch_is_every_image_and_the_cosine_ends_with_the_run(tmp_path):
  run = prepared(tmp_path)
  assert (run.feed.num_examples, run.total_steps) == (80, 10)  # none is held out
  rates = [float(run.schedule(step)) for step in (0, 5, 10)]
  np.testing.assert_allclose(rates, [0.05, 0.025, 0.0], atol=1e-8)


def test_the_seed_of_a_run_draws_its_weights(tmp_path):
  def weights(seed):
    state = loop.fit(dataclasses.replace(
        prepared(tmp_path / str(seed), seed=seed, train={'epochs': 0}),
        workdir=workdir.prepare(tmp_path / str(seed), {})))
    return np.asarray(state.variables.params['encoder']['conv']['kernel'])
  assert (weights(0) != weights(1)).mean() > 0.9
