"""Builds what is measured on validation images during a pre-training."""

import dataclasses
from typing import Any

import jax
import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.data import datasets, sources
from ssl_jax.data import feed as feed_lib
from ssl_jax.evaluators import online_knn
from ssl_jax.evaluators import validation as validation_lib
from ssl_jax.methods import base
from ssl_jax.train import training


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonitorConfig:
  """Sets what is measured every config.train.knn_every_epochs epochs."""
  data: Any = config_lib.section(
      datasets.DataConfig, optional=True, none_is_default=True,
      doc='Labelled images for the kNN accuracy, if those of the training have no '
      'labels; None takes those of the training')
  images: int = config_lib.field(
      2000, low=2, doc='Largest number of validation images on which features and loss '
      'are measured without labels')


def build(data: datasets.DataConfig, monitor: MonitorConfig,
          train: training.TrainConfig, method: base.Base, *, batch_size: int,
          labelled: bool, mesh: jax.sharding.Mesh) -> training.Evaluate | None:
  """Builds the function that measures an encoder during its training.

  Args:
    data: the data set of the training.
    monitor: the section `monitor` of the config.
    train: the section `train` of the config.
    method: the method.
    batch_size: number of images in a batch of the training.
    labelled: whether the images of the training have labels.
    mesh: the devices.

  Returns:
    A function of the variables of the method that returns metrics; None if nothing can
    or shall be measured.
  """
  if not train.knn_every_epochs:
    return None
  knn = None
  if labelled or monitor.data is not None:
    knn = build_online_knn(monitor.data or data, train, method, mesh)
  validation = build_validation(data, monitor, train, method, batch_size, mesh)
  if knn is None and validation is None:
    return None

  def evaluate(variables):
    found = knn(method.encoder_variables(variables)) if knn else {}
    if validation is not None:
      measured = validation(variables)
      if sentence := validation_lib.warning(measured):
        logging.warning('%s', sentence)
      found = {**found, **measured}
    return found
  return evaluate


def build_validation(data: datasets.DataConfig, monitor: MonitorConfig,
                     train: training.TrainConfig, method: base.Base, batch_size: int,
                     mesh: jax.sharding.Mesh) -> validation_lib.Validation | None:
  """Builds the measures without labels, or None without a validation split.

  If the split is taken out of `train`, the training sees its images too, unless
  config.data.validation_fraction is set.

  Args:
    data: the data set of the training.
    monitor: the number of images.
    train: the endpoint that is measured.
    method: the method.
    batch_size: number of images in a batch of the training.
    mesh: the devices.
  """
  try:
    source = datasets.open_split(
        dataclasses.replace(datasets.held_out(data, 0.1), label_subset=None),
        'validation')
  except errors.UserError:
    return None
  if len(source) < 2:
    return None
  count = min(monitor.images, len(source))
  part = sources.subset(source, np.arange(count) * len(source) // count,
                        source.name).load_into_memory()
  whole = count // batch_size * batch_size
  batches = None
  if whole:
    full = sources.subset(part, np.arange(whole), part.name)
    batches = lambda: feed_lib.eval_batches(full, batch_size, mesh)
  else:
    logging.info('%s has fewer images than a batch (%d), so the loss is not measured '
                 'on it', source.name, batch_size)
  return validation_lib.Validation(
      method, lambda: feed_lib.eval_batches(part, 64 * mesh.size, mesh), batches,
      train.online_endpoint, train.online_pool)


def build_online_knn(data: datasets.DataConfig, train: training.TrainConfig,
                     method: base.Base, mesh: jax.sharding.Mesh
                     ) -> online_knn.OnlineKnn | None:
  """Builds the kNN classification of validation images during the training.

  The neighbours are searched among at most `knn_examples` of the training images. If
  the data set has no validation split and none can be taken out of `train`, a warning
  is logged, and the training continues without kNN.

  Args:
    data: the data set of the training.
    train: the numbers of neighbours and of images to search, and the endpoint.
    method: encodes the images.
    mesh: the devices.

  Returns:
    The online kNN, or None without a validation split.
  """
  data = dataclasses.replace(datasets.held_out(data, 0.1), label_subset=None)
  try:
    bank, queries = (datasets.open_split(data, s) for s in ('train', 'validation'))
  except errors.UserError as e:
    logging.warning(
        'Training continues without the kNN accuracy that '
        'config.train.knn_every_epochs=%g asks for: %s', train.knn_every_epochs, e)
    return None
  # Evenly spaced: if files are sorted by class, the first ones have few classes.
  n = min(train.knn_examples, len(bank))
  bank = sources.subset(bank, np.arange(n) * len(bank) // n, bank.name)
  batches = lambda source: lambda: feed_lib.eval_batches(source, 64 * mesh.size, mesh)
  return online_knn.OnlineKnn(method.encode, batches(bank.load_into_memory()),
                            batches(queries.load_into_memory()), bank.num_classes,
                            train.knn_k, train.online_endpoint, train.online_pool)
