"""Where the time of a training step goes: its parts, each compiled on its own."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ssl_jax.methods import base
from ssl_jax.performance import timing
from ssl_jax.train import loop
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import step as step_lib

Tree = Any
Program = Callable[[], Tree]


def parts(times: Mapping[str, Sequence[float]]) -> dict[str, timing.Samples]:
  """Seconds of the parts of one step, from those of `programs`.

  'augmentation', 'loss' (from embeddings or logits to their gradient) and
  'optimizer' are timed as they are. The others cannot be cut out of what XLA makes
  of them and are differences: 'forward' is the value of `method.loss` less the
  objective alone, 'backward' its gradient less 'forward' and 'loss'.
  """
  forward = less(times['forward and objective'], times['objective'])
  found = {
      'augmentation': times['augmentation'],
      'forward': forward,
      'backward': less(times['gradient'], forward, times['loss']),
      'loss': times['loss'],
      'optimizer': times['optimizer']}
  return {name: timing.Samples(tuple(values)) for name, values in found.items()}


def less(whole: Sequence[float], *others: Sequence[float]) -> list[float]:
  """What is left of each sample."""
  return [t - sum(o) for t, *o in zip(whole, *others, strict=True)]


def programs(run: loop.Run, state: step_lib.TrainState,
             key: jax.Array) -> dict[str, Program]:
  """What to time, compiled at the first call; each returns all that it computed."""
  batch, method = run.feed.batch_at(0), run.method
  state = jax.tree.map(jnp.copy, state)  # the step will donate its own
  variables, labels = state.variables, batch['label']

  def loss(params, variables, views, labels):
    value, aux = method.loss(params, variables, views, labels)
    vectors = {k: v for k, v in aux.endpoints.items() if v.ndim == 2}
    return value, (aux.model_state, aux.metrics, vectors)

  def objective(vectors, variables, views, labels):
    value, aux = with_endpoints(method, vectors).loss(
        variables.params, variables, views, labels)
    return value, aux.metrics

  def optimize(grads, opt_state, variables, step):
    updates, opt_state = run.tx.update(grads, opt_state, variables.params)
    params = optax.apply_updates(variables.params, updates)
    return method.after_update(variables.replace(params=params), step), opt_state

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
      'optimizer': lambda: update(grads, state.opt_state, variables, state.step)}


def _under(mesh: jax.sharding.Mesh,
           function: Callable[..., Tree]) -> Callable[..., Tree]:
  """`function`, traced as in the training step."""
  def traced(*args):
    with mesh_lib.ambient(mesh):
      return function(*args)
  return traced


def with_endpoints(method: base.Base,
                   endpoints: Mapping[str, jax.Array]) -> base.Base:
  """The method with `endpoints` in place of its network: the objective alone."""
  alone = copy.copy(method)
  object.__setattr__(  # methods are frozen; this copy is ours
      alone, 'forward', lambda params, variables, views: (
          dict(endpoints), variables.model_state))
  return alone
