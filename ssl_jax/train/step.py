"""The training step: one pure function of (state, key, batch)."""

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
  """All that a checkpoint must hold for a run to go on as if never stopped.

  There is no random state: the key of step n is `fold_in(key, n)`.
  """
  step: jax.Array                       # int32 scalar, updates done so far
  variables: base.Variables
  opt_state: Tree
  probe: online_probe.ProbeState | None


@dataclasses.dataclass(frozen=True)
class TrainStep:
  """One training step: `init` makes the state, a call updates it from one batch.

  Attributes:
    method: what is trained.
    tx: the optimizer.
    probe: an online probe beside it, or None.
    total_steps: of the whole training; `method.after_update` sees progress by it.
  """
  method: base.Method
  tx: optax.GradientTransformation
  probe: online_probe.OnlineProbe | None
  total_steps: int

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> TrainState:
    """Draws the state before the first step, for images [H, W, C]."""
    variables = self.method.init(key, image_shape)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        opt_state=self.tx.init(variables.params),
        probe=self.probe and self.probe.init(self.method, variables, image_shape))

  def __call__(self, state: TrainState, key: jax.Array,
               batch: dict[str, jax.Array]) -> tuple[TrainState, Metrics]:
    """Updates the state once from one global batch.

    Written as for one device. With the batch sharded over the mesh the
    partitioner makes BatchNorm statistics and the loss global.

    Args:
      state: before the step; step n uses the key `fold_in(key, n)`.
      key: of the whole training.
      batch: what `method.views` takes, and 'label' int32 [B], -1 where unknown.

    Returns:
      The new state and float32 scalars for the log.
    """
    variables, done = state.variables, state.step + 1
    # Profiles and performance/gpu_program.py tell the parts of a step by these scopes.
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
  """Puts in the new parameters and what the loss returned, before `after_update`."""
  unchanged = output.non_trainable is None
  return base.Variables(
      params, output.model_state,
      variables.non_trainable if unchanged else output.non_trainable)


def make_dispatch(step: TrainStep,
                  select: Callable[[Tree, jax.Array], dict[str, jax.Array]],
                  mesh: jax.sharding.Mesh, state: TrainState) -> Callable[..., Any]:
  """Compiles `steps` updates into one call: `dispatch(state, key, inputs, steps)`.

  More than one step per call hides the launch overhead of small images. On the
  CPU it must be one: XLA there runs convolution gradients inside a loop up to
  70 times slower. Metrics are the mean over the steps of the call. The old
  state is donated.

  Args:
    step: one update.
    select: takes the batch of a step, an int32 scalar, from the inputs of a call.
    mesh: the devices.
    state: what the calls take, stored as `parallel.mesh.stored` says; shapes suffice.
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
