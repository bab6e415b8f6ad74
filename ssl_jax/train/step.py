"""The training step: one pure function of (state, key, batch)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ssl_jax.methods import base
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import online_probe

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


def init_state(method: base.Method, tx: optax.GradientTransformation,
               probe: online_probe.OnlineProbe | None, key: jax.Array,
               image_shape: tuple[int, int, int]) -> TrainState:
  variables = method.init(key, image_shape)
  return TrainState(
      step=jnp.zeros((), jnp.int32),
      variables=variables,
      opt_state=tx.init(variables.params),
      probe=probe and probe.init(method, variables, image_shape))


def train_step(method: base.Method, tx: optax.GradientTransformation,
               probe: online_probe.OnlineProbe | None,
               state: TrainState, key: jax.Array,
               batch: dict[str, jax.Array]) -> tuple[TrainState, Metrics]:
  """One update from one global batch.

  Written as for one device. With the batch sharded over the mesh the
  partitioner makes BatchNorm statistics and the loss global.

  Args:
    batch: what `method.views` takes, and 'label' int32 [B], -1 where unknown.
  """
  variables = state.variables
  views = method.views(jax.random.fold_in(key, state.step), batch)
  (loss, aux), grads = jax.value_and_grad(method.loss, has_aux=True)(
      variables.params, variables, views, batch['label'])
  updates, opt_state = tx.update(grads, state.opt_state, variables.params)
  variables = method.after_update(
      variables.replace(params=optax.apply_updates(variables.params, updates),
                        model_state=aux.model_state), state.step)
  metrics = {'loss': loss, 'grad_norm': optax.global_norm(grads), **aux.metrics}
  probe_state = state.probe
  if probe is not None:
    probe_state, metrics['probe/top1'] = probe.update(
        probe_state, aux.endpoints, batch['label'])
  return TrainState(state.step + 1, variables, opt_state, probe_state), metrics


def make_dispatch(step: Callable[..., tuple[TrainState, Metrics]],
                  select: Callable[[Tree, jax.Array], dict[str, jax.Array]],
                  mesh: jax.sharding.Mesh) -> Callable[..., Any]:
  """Compiles `steps` updates into one call: `dispatch(state, key, inputs, steps)`.

  More than one step per call hides the launch overhead of small images. On the
  CPU it must be one: XLA there runs convolution gradients inside a loop up to
  70 times slower. Metrics are the mean over the steps of the call. The old
  state is donated.
  """
  rep = mesh_lib.replicated(mesh)

  @functools.partial(jax.jit, donate_argnums=0, static_argnums=3,
                     out_shardings=(rep, rep))
  def dispatch(state, key, inputs, steps):
    def one(state, _):
      with mesh_lib.ambient(mesh):
        return step(state, key, select(inputs, state.step))
    if steps == 1:
      return one(state, None)
    state, metrics = jax.lax.scan(one, state, length=steps)
    return state, jax.tree.map(lambda m: m.mean(0), metrics)

  return dispatch
