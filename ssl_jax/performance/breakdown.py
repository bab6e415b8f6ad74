"""Breaks a training step down into parts, each compiled separately."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import forward, timing
from ssl_jax.train import step as step_lib
from ssl_jax.train import training

Tree = Any
Program = Callable[[], Tree]


def parts(times: Mapping[str, Sequence[float]]) -> dict[str, timing.Samples]:
  """Computes the seconds of the parts of one step from those of `programs`.

  'augmentation', 'loss' (from embeddings or logits to their gradient) and 'optimizer'
  are programs themselves. The other parts cannot be separated in a compiled program and
  are differences: 'forward' is the value of `method.loss` minus the objective, and
  'backward' is the gradient of `method.loss` minus 'forward' and 'loss'.
  """
  forwards = difference(times['forward and objective'], times['objective'])
  found = {
      'augmentation': times['augmentation'],
      'forward': forwards,
      'backward': difference(times['gradient'], forwards, times['loss']),
      'loss': times['loss'],
      'optimizer': times['optimizer']}
  return {name: timing.Samples(tuple(values)) for name, values in found.items()}


def difference(whole: Sequence[float], *others: Sequence[float]) -> list[float]:
  """Subtracts the other samples from each sample."""
  return [t - sum(o) for t, *o in zip(whole, *others, strict=True)]


def programs(run: training.TrainingRun, state: step_lib.TrainState,
             key: jax.Array) -> dict[str, Program]:
  """Returns the programs to time; each compiles at its first call.

  Args:
    run: the run whose step is broken down.
    state: its training state, of which a copy is made.
    key: a PRNG key.
  """
  batch, method = run.feed.batch_at(0), run.method
  state = jax.tree.map(jnp.copy, state)  # the training step donates its argument
  variables, labels, progress = state.variables, batch['label'], jnp.float32(0.5)

  def loss(params, variables, views, labels):
    passes = []
    value, output = forward.recorded(method, passes).loss(params, variables, views,
                                                          labels)
    vectors = [_vectors(endpoints) for endpoints in passes]
    return value, (step_lib.updated(variables, output, ()), output.metrics, vectors)

  def objective(vectors, variables, views, labels):
    value, output = forward.replaced(method, vectors).loss(
        variables.params, variables, views, labels)
    return value, output.metrics

  def optimize(grads, opt_state, variables, progress):
    updates, opt_state = run.tx.update(grads, opt_state, variables.params)
    params = optax.apply_updates(variables.params, updates)
    return method.after_update(variables.replace(params=params), progress), opt_state

  jit = lambda function: jax.jit(_under(run.mesh, function))
  gradient_of = lambda function: jit(jax.value_and_grad(function, has_aux=True))
  augment, value, gradient = jit(method.views), jit(loss), gradient_of(loss)
  alone, alone_gradient, update = jit(objective), gradient_of(objective), jit(optimize)
  views = augment(key, batch)
  (_, (_, _, vectors)), grads = gradient(variables.params, variables, views, labels)
  return {
      'augmentation': lambda: augment(key, batch),
      'forward and objective':
          lambda: value(variables.params, variables, views, labels),
      'gradient': lambda: gradient(variables.params, variables, views, labels),
      'objective': lambda: alone(vectors, variables, views, labels),
      'loss': lambda: alone_gradient(vectors, variables, views, labels),
      'optimizer': lambda: update(grads, state.opt_state, variables, progress)}


def _under(mesh: jax.sharding.Mesh,
           function: Callable[..., Tree]) -> Callable[..., Tree]:
  """Returns the function, to be traced as in the training step."""
  def traced(*args):
    with mesh_lib.use_mesh(mesh):
      return function(*args)
  return traced


def _vectors(endpoints: forward.Endpoints) -> forward.Endpoints:
  """Keeps the vectors [B*V, D] of every size: objectives use no feature maps."""
  if isinstance(endpoints, list):
    return [_vectors(one) for one in endpoints]
  return {name: x for name, x in endpoints.items() if x.ndim == 2}
