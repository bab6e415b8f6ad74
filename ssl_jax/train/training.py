"""Declares a training run: what is trained, on what, for how long, kept where."""

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

Monitor = Callable[[base.Tree], Mapping[str, float]]  # of an encoder's variables
STEPS_PER_DISPATCH = {'cpu': 1}  # elsewhere up to 32; see step.make_dispatch


@dataclasses.dataclass(frozen=True)
class TrainConfig(methods.ComputeConfig):
  """Sets the length and precision of a training, which make it a run of its own."""
  epochs: float = config_lib.field(
      doc='Length of the training; 0 leaves a randomly initialised encoder', low=0)
  online_probe: bool = config_lib.field(
      True, doc='Whether a linear classifier is trained beside the encoder, where '
      'images have labels')
  knn_every_epochs: float = config_lib.field(
      0, low=0, doc='How often kNN is scored on validation images; 0 is never')
  knn_examples: int = config_lib.field(
      10_000, low=1, doc='Number of images that kNN searches')
  knn_k: int = config_lib.field(20, low=1, doc='Number of neighbours that vote in kNN')
  online_endpoint: str = config_lib.field(
      'pooled', doc='Endpoint that the online probe and kNN use')
  online_pool: str | int = config_lib.field(
      'mean', choices=('mean', 'max', 'flatten'), low=1,
      doc='How a feature map becomes a vector for them; a number s averages s x s '
      'regions')


@dataclasses.dataclass(frozen=True)
class LogConfig:
  """Sets what is logged and kept; it may change from one resume to the next."""
  every_steps: int = config_lib.field(
      50, low=1, doc='Steps from one row of metrics.jsonl to the next')
  checkpoint_every_epochs: float = config_lib.field(
      10, low=0, doc='How often the state is saved; 0 is at the end only')
  max_to_keep: int = config_lib.field(2, low=1, doc='Number of checkpoints that stay')
  tensorboard: bool = config_lib.field(
      True, doc='Whether metrics are also written for TensorBoard')
  profile: bool = config_lib.field(
      False, doc='Whether a few early steps are traced for a profiler')
  steps_per_dispatch: int = config_lib.field(
      0, low=0, doc='Steps that one program runs; 0 is 1 on CPUs and up to 32 '
      'elsewhere')


@dataclasses.dataclass(frozen=True)
class TrainingRun:
  """One training run: what is trained, on what, and where it is kept."""
  method: base.Method
  tx: optax.GradientTransformation
  schedule: optax.Schedule             # of the learning rate, for the log
  feed: feed_lib.Feed
  mesh: jax.sharding.Mesh
  workdir: pathlib.Path
  config: Mapping[str, Any]            # plain; saved in every checkpoint
  seed: int
  epochs: float
  log: LogConfig = LogConfig()
  probe: online_probe.OnlineProbe | None = None
  monitor: Monitor | None = None
  monitor_every_epochs: float = 0
  # Applied to fresh variables, never on a resume: puts a trained encoder in.
  warm_start: Callable[[base.Variables], base.Variables] | None = None
  # Called when the first step is done and its loss finite: marks the workdir as taken.
  claim: Callable[[], None] = lambda: None
  label: str = 'train'

  @property
  def total_steps(self) -> int:
    return whole_steps(self.epochs, self.feed.steps_per_epoch)

  @property
  def train_step(self) -> step_lib.TrainStep:
    return step_lib.TrainStep(self.method, self.tx, self.probe, self.total_steps)

  def steps(self, epochs: float) -> int:
    """An interval in steps; 0 is never."""
    return max(1, round(epochs * self.feed.steps_per_epoch)) if epochs else 0


def whole_steps(epochs: float, steps_per_epoch: int) -> int:
  """Returns the length of a training in steps.

  Raises:
    errors.UserError: it is positive, but less than one step.
  """
  steps = round(epochs * steps_per_epoch)
  if epochs and not steps:
    raise errors.UserError(
        f'config.train.epochs is {epochs:g}, which is not one step where an epoch has '
        f'{steps_per_epoch}; use at least {1 / steps_per_epoch:.2g}, or 0 for a '
        'randomly initialised encoder')
  return steps


def steps_per_dispatch(run: TrainingRun) -> int:
  """Returns the steps per dispatch: the config's, or what suits the platform.

  If the config does not set it, a number that divides the steps of the run is preferred
  (from a quarter of the most up): a remainder would be compiled as a second program.
  """
  asked = run.log.steps_per_dispatch
  most = min(asked or STEPS_PER_DISPATCH.get(jax.default_backend(), 32),
             run.feed.max_steps_per_dispatch)
  fits = (n for n in range(most, most // 4, -1) if run.total_steps % n == 0)
  return most if asked else next(fits, most)


def crossed(every: int, before: int, after: int) -> bool:
  """Returns whether a multiple of `every` is in (before, after]; 0 is never."""
  return bool(every) and after // every > before // every
