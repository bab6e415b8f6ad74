"""Counts the cost of one image in a method's networks, from the shapes of views."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax.methods import base
from ssl_jax.performance import forward, hardware, roofline


@dataclasses.dataclass(frozen=True)
class Pass:
  """Describes the pass of the views of one size through a network.

  Attributes:
    views: number of views of an image.
    layers: layers of the network, for one view.
    trained: whether a backward pass follows. None follows through a target network.
  """
  views: float
  layers: list[roofline.Layer]
  trained: bool

  @property
  def flops(self) -> float:
    """The FLOPs of an image in a training step."""
    return self.views * (roofline.train_flops(self.layers) if self.trained
                         else roofline.forward_flops(self.layers))


@dataclasses.dataclass(frozen=True)
class Cost:
  """Holds the cost of one image in the encoder and the heads, without the loss.

  Attributes:
    views: number of views of an image, over all sizes.
    passes: passes through the trained network and a target network, for every size.
    itemsize: bytes of an activation.
  """
  views: float
  passes: tuple[Pass, ...]
  itemsize: int

  @property
  def train_flops(self) -> float:
    return sum(one.flops for one in self.passes)

  def seconds(self, device: hardware.Device) -> float:
    """Returns the shortest possible seconds of a training step per image."""
    return sum(one.views * roofline.seconds(one.layers, device, self.itemsize,
                                            one.trained) for one in self.passes)


def cost(method: base.Base, image_shape: tuple[int, int, int]) -> Cost:
  """Traces the passes that `method.loss` makes, without computing them.

  A pass is trained if any of its parameters is an argument of the loss.
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
  """Returns the shapes of the arguments of `method.loss` for a batch of `images`."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = {'image': jax.ShapeDtypeStruct((images, *image_shape), jnp.uint8)}
  variables = jax.eval_shape(lambda k: method.init(k, image_shape), key)
  views = jax.eval_shape(method.views, key, batch)
  labels = jax.ShapeDtypeStruct((images,), jnp.int32)
  return variables.params, variables, views, labels


def loss_flops(method: base.Base, image_shape: tuple[int, int, int],
               batch_size: int) -> float:
  """Counts FLOPs of the objective's products, forward and backward, for a whole batch.

  If the loss compares every view with every other, they grow with the square of the
  batch. Products for metrics are counted as if they were differentiated too.

  Args:
    method: the method.
    image_shape: [H, W, C] of an image.
    batch_size: number of images.
  """
  forward_flops = sum(one.views * roofline.forward_flops(one.layers)
                      for one in cost(method, image_shape).passes)
  whole = roofline.trace(lambda *args: method.loss(*args)[0],
                         *_arguments(method, image_shape, batch_size))
  return 3 * max(0.0, roofline.forward_flops(whole) - forward_flops * batch_size)
