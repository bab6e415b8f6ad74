"""Counts the cost of one image in a method's networks, from shapes of its views."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax.methods import base
from ssl_jax.performance import forward, hardware, roofline


@dataclasses.dataclass(frozen=True)
class Pass:
  """Views of one size going through a network.

  Attributes:
    views: how many of an image.
    layers: of the network, for one view.
    trained: whether a backward pass follows; not through a target network.
  """
  views: float
  layers: list[roofline.Layer]
  trained: bool

  @property
  def flops(self) -> float:
    """FLOPs of an image in a training step."""
    return self.views * (roofline.train_flops(self.layers) if self.trained
                         else roofline.forward_flops(self.layers))


@dataclasses.dataclass(frozen=True)
class Cost:
  """Holds the cost of one image: encoder, projector, predictor, head, not the loss.

  Attributes:
    views: rows that an image becomes, all sizes together.
    passes: of the trained network and of a target network, for every size.
    itemsize: bytes of an activation.
  """
  views: float
  passes: tuple[Pass, ...]
  itemsize: int

  @property
  def train_flops(self) -> float:
    return sum(one.flops for one in self.passes)

  def seconds(self, device: hardware.Device) -> float:
    """The shortest time of a training step, per image."""
    return sum(one.views * roofline.seconds(one.layers, device, self.itemsize,
                                            one.trained) for one in self.passes)


def cost(method: base.Base, image_shape: tuple[int, int, int]) -> Cost:
  """Traces the passes that `method.loss` makes; nothing is computed.

  A pass is trained if any of its parameters is one that the loss is given.
  """
  images = 2
  params, *rest = _arguments(method, image_shape, images)
  passes = []

  def loss(params, *rest):
    given = {id(leaf) for leaf in jax.tree.leaves(params)}

    def record(params, model_state, views, network=None):
      network = method.network if network is None else network
      run = functools.partial(network.apply, {'params': params,
                                              'batch_stats': model_state}, train=False)
      trained = any(id(leaf) in given for leaf in jax.tree.leaves(params))
      sizes = views if isinstance(views, list | tuple) else [views]
      passes.extend(Pass(len(x) / images, roofline.trace(run, x[:1]), trained)
                    for x in sizes)
      endpoints = list(map(run, sizes))
      return (endpoints if sizes is views else endpoints[0]), model_state

    return forward.with_forward(method, record).loss(params, *rest)[0]

  jax.eval_shape(loss, params, *rest)
  return Cost(method.views_per_image, tuple(passes), jnp.dtype(method.dtype).itemsize)


def _arguments(method: base.Base, image_shape: tuple[int, int, int],
               images: int) -> tuple[Any, ...]:
  """Shapes of what `method.loss` takes for a batch of `images`."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = {'image': jax.ShapeDtypeStruct((images, *image_shape), jnp.uint8)}
  variables = jax.eval_shape(lambda k: method.init(k, image_shape), key)
  views = jax.eval_shape(method.views, key, batch)
  labels = jax.ShapeDtypeStruct((images,), jnp.int32)
  return variables.params, variables, views, labels


def loss_flops(method: base.Base, image_shape: tuple[int, int, int],
               batch_size: int) -> float:
  """Counts FLOPs of the objective's products, forward and backward, for a whole batch.

  They grow with its square if every row is compared with every other. Products for
  the metrics alone are counted as if they were differentiated too.
  """
  forward_flops = sum(one.views * roofline.forward_flops(one.layers)
                      for one in cost(method, image_shape).passes)
  whole = roofline.trace(lambda *args: method.loss(*args)[0],
                         *_arguments(method, image_shape, batch_size))
  return 3 * max(0.0, roofline.forward_flops(whole) - forward_flops * batch_size)
