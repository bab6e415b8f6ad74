"""Defines the training step: one pure function of (state, key, batch)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ssl_jax.methods import base
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import norms, online_probe

Tree = Any
Metrics = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
  """Holds all that a run needs to continue as if it had not been stopped.

  A random state is not needed: the key of step n is `fold_in(key, n)`.

  Attributes:
    step: int32 scalar, the number of updates done so far.
    variables: the parameters and other variables of the method.
    opt_state: the state of the optimizer.
    probe: the state of the online probe, or None.
  """
  step: jax.Array
  variables: base.Variables
  opt_state: Tree
  probe: online_probe.ProbeState | None


@dataclasses.dataclass(frozen=True)
class TrainStep:
  """One training step: `init` makes the state, a call updates it from one batch.

  Attributes:
    method: the method that is trained.
    tx: the optimizer.
    probe: a linear classifier that is trained on the same batches, or None.
    total_steps: steps of the whole training; `method.after_update` receives the
      fraction of them that is done.
  """
  method: base.Method
  tx: optax.GradientTransformation
  probe: online_probe.OnlineProbe | None
  total_steps: int

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> TrainState:
    """Returns the random state before the first step, for images [H, W, C]."""
    variables = self.method.init(key, image_shape)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        opt_state=self.tx.init(variables.params),
        probe=self.probe and self.probe.init(self.method, variables, image_shape))

  def __call__(self, state: TrainState, key: jax.Array,
               batch: dict[str, jax.Array]) -> tuple[TrainState, Metrics]:
    """Updates the state once from one global batch.

    The code is written as for one device. If the batch is sharded over the mesh, XLA's
    partitioner makes the BatchNorm statistics and the loss global.

    Args:
      state: the state before the step.
      key: the key of the whole training; step n uses `fold_in(key, n)`.
      batch: the arrays that `method.views` reads, and 'label' int32 [B], which is -1
        for an unknown class.

    Returns:
      The new state, and float32 scalars by name for the log.
    """
    variables, done = state.variables, state.step + 1
    # Profiles and performance/gpu_program.py find the parts of a step by these scopes.
    with jax.named_scope('views'):
      views = self.method.views(jax.random.fold_in(key, state.step), batch)
    with jax.named_scope('loss'):
      (loss, output), grads = jax.value_and_grad(self.method.loss, has_aux=True)(
          variables.params, variables, views, batch['label'])
    with jax.named_scope('optimizer'):
      updates, opt_state = self.tx.update(grads, state.opt_state, variables.params)
      variables = updated(variables, output,
                          optax.apply_updates(variables.params, updates))
      variables = self.method.after_update(variables, done / max(self.total_steps, 1))
    with jax.named_scope('metrics'):
      metrics = {'loss': loss, 'grad_norm': norms.global_norm(grads), **output.metrics}
    probe_state = state.probe
    if self.probe is not None:
      with jax.named_scope('probe'):
        probe_state, metrics['probe/top1'] = self.probe.update(
            probe_state, output.endpoints, batch['label'])
    return TrainState(done, variables, opt_state, probe_state), metrics


def updated(variables: base.Variables, output: base.LossOutput,
            params: Tree) -> base.Variables:
  """Returns the variables after an update, before `method.after_update`.

  Args:
    variables: the variables before the update.
    output: the new `model_state` and, unless it is None, `non_trainable`.
    params: the new parameters.
  """
  unchanged = output.non_trainable is None
  return base.Variables(
      params, output.model_state,
      variables.non_trainable if unchanged else output.non_trainable)


def make_dispatch(step: TrainStep,
                  select: Callable[[Tree, jax.Array], dict[str, jax.Array]],
                  mesh: jax.sharding.Mesh, state: TrainState) -> Callable[..., Any]:
  """Compiles `steps` updates into one call: `dispatch(state, key, inputs, steps)`.

  More than one step per call hides the launch overhead, which is noticeable for small
  images. On the CPU a call should have one step, because XLA runs convolution gradients
  inside a loop there up to 70 times slower. Metrics are the mean over the steps of the
  call. The old state is donated.

  Args:
    step: one update.
    select: returns the batch of a step; it receives the inputs of a call and the
      number of the step, an int32 scalar.
    mesh: the devices.
    state: a state like those that the calls receive, which are stored as
      `parallel.mesh.stored` says; only its shapes are used.
  """

  @functools.partial(jax.jit, donate_argnums=0, static_argnums=3,
                     out_shardings=(mesh_lib.stored(state, mesh),
                                    mesh_lib.replicated(mesh)))
  def dispatch(state, key, inputs, steps):
    def one(state, _):
      with mesh_lib.use_mesh(mesh):
        return step(state, key, select(inputs, state.step))
    if steps == 1:
      return one(state, None)
    state, metrics = jax.lax.scan(one, state, length=steps)
    return state, jax.tree.map(lambda m: m.mean(0), metrics)

  return dispatch
