"""Declares a training run: method, data, length and folder."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from ssl_jax import config as config_lib
from ssl_jax import errors, methods
from ssl_jax.data import feed as feed_lib
from ssl_jax.methods import base
from ssl_jax.train import online_probe
from ssl_jax.train import step as step_lib

# Maps the variables of a method to metrics.
Evaluate = Callable[[base.Variables], Mapping[str, float]]
# By platform; on all others up to 32. `step.make_dispatch` gives the reason.
STEPS_PER_DISPATCH = {'cpu': 1}


@dataclasses.dataclass(frozen=True)
class TrainConfig(methods.ComputeConfig):
  """Sets the length and precision of a training; a change makes it another run."""
  epochs: float = config_lib.field(
      doc='Length of the training; 0 leaves a randomly initialised encoder', low=0)
  online_probe: bool = config_lib.field(
      True, doc='Whether a linear classifier is trained on the features during the '
      'training, if images have labels')
  knn_every_epochs: float = config_lib.field(
      0, low=0, doc='Epochs from one measurement on validation images to the next: kNN '
      'accuracy, effective rank of the features, loss; 0 is never')
  knn_examples: int = config_lib.field(
      10_000, low=1, doc='Number of training images that kNN searches')
  knn_k: int = config_lib.field(20, low=1, doc='Number of neighbours that vote in kNN')
  online_endpoint: str = config_lib.field(
      'pooled', doc='Endpoint that the online probe and the online kNN use')
  online_pool: str | int = config_lib.field(
      'mean', choices=('mean', 'max', 'flatten'), low=1,
      doc='How a feature map becomes a vector for them; a number s averages s x s '
      'regions')


@dataclasses.dataclass(frozen=True)
class LogConfig:
  """Sets what is logged and kept; it may change from one resume to the next."""
  every_steps: int = config_lib.field(
      50, low=1, doc='Steps from one line of metrics.jsonl to the next')
  checkpoint_every_epochs: float = config_lib.field(
      10, low=0, doc='Epochs from one checkpoint to the next; 0 is at the end only')
  max_to_keep: int = config_lib.field(
      2, low=1, doc='Number of newest checkpoints that are kept')
  keep_every_epochs: float = config_lib.field(
      0, low=0, doc='Epochs from one checkpoint that is kept for good to the next; 0 '
      'keeps the newest ones only')
  tensorboard: bool = config_lib.field(
      True, doc='Whether metrics are also written for TensorBoard')
  profile: bool = config_lib.field(
      False, doc='Whether a few early steps are traced for a profiler')
  steps_per_dispatch: int = config_lib.field(
      0, low=0, doc='Steps that one call of the compiled program runs; 0 means 1 on '
      'CPUs and up to 32 on other platforms')


@dataclasses.dataclass(frozen=True)
class TrainingRun:
  """One training run: its method, data, length and folder.

  Attributes:
    method: the method that is trained.
    tx: the optimizer.
    schedule: maps a step to the learning rate, for the log.
    feed: the batches.
    mesh: the devices.
    workdir: the folder of the run.
    config: the plain config, which is saved in every checkpoint.
    seed: seed of the initialisation and of the views.
    epochs: length of the training.
    log: what is logged and kept.
    probe: the linear classifier that is trained on the features, or None.
    monitor: measures the method during the training, or None.
    monitor_every_epochs: epochs from one evaluation to the next; 0 is never.
    warm_start: replaces parts of the initial state, for example its variables by those
      of a trained encoder. It is not called when a run is resumed.
    claim: records that the workdir belongs to this run. It is called when the first
      step is done and its loss is finite.
    label: the name of the run in messages.
  """
  method: base.Method
  tx: optax.GradientTransformation
  schedule: optax.Schedule
  feed: feed_lib.Feed
  mesh: jax.sharding.Mesh
  workdir: pathlib.Path
  config: Mapping[str, Any]
  seed: int
  epochs: float
  log: LogConfig = LogConfig()
  probe: online_probe.OnlineProbe | None = None
  monitor: Evaluate | None = None
  monitor_every_epochs: float = 0
  warm_start: Callable[[step_lib.TrainState], step_lib.TrainState] | None = None
  claim: Callable[[], None] = lambda: None
  label: str = 'train'

  @property
  def total_steps(self) -> int:
    """The length of the training in steps."""
    return whole_steps(self.epochs, self.feed.steps_per_epoch)

  @property
  def train_step(self) -> step_lib.TrainStep:
    """The training step."""
    return step_lib.TrainStep(self.method, self.tx, self.probe, self.total_steps)

  def steps(self, epochs: float) -> int:
    """Returns an interval of `epochs` in steps; 0 means never."""
    return max(1, round(epochs * self.feed.steps_per_epoch)) if epochs else 0


def whole_steps(epochs: float, steps_per_epoch: int) -> int:
  """Returns the length of a training in steps.

  Raises:
    errors.UserError: `epochs` is positive, but less than one step.
  """
  steps = round(epochs * steps_per_epoch)
  if epochs and not steps:
    raise errors.UserError(
        f'config.train.epochs is {epochs:g}, which is less than one step, because an '
        f'epoch has {steps_per_epoch} steps; use at least {1 / steps_per_epoch:.2g}, '
        'or 0 for a randomly initialised encoder')
  return steps


def steps_per_dispatch(run: TrainingRun) -> int:
  """Returns the number of steps per dispatch, from the config or for the platform.

  If the config does not set it, a number that divides the steps of the run is
  preferred, as long as it is more than a quarter of the maximum. A remainder would be
  compiled as a second program.
  """
  asked = run.log.steps_per_dispatch
  most = min(asked or STEPS_PER_DISPATCH.get(jax.default_backend(), 32),
             run.feed.max_steps_per_dispatch)
  fits = (n for n in range(most, most // 4, -1) if run.total_steps % n == 0)
  return most if asked else next(fits, most)


def crossed(every: int, before: int, after: int) -> bool:
  """Returns whether an interval of steps has ended.

  Args:
    every: length of the interval in steps; 0 means that it never ends.
    before: steps done before a dispatch.
    after: steps done after it.

  Returns:
    Whether a multiple of `every` is in (before, after].
  """
  return bool(every) and after // every > before // every
