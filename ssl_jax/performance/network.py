"""What one image costs the network of a method, from the shapes of its views."""

import dataclasses

import jax
import jax.numpy as jnp

from ssl_jax.methods import base
from ssl_jax.performance import devices, roofline


@dataclasses.dataclass(frozen=True)
class Cost:
  """Of one image; encoder, projector and head, not the loss.

  Attributes:
    views: rows that an image becomes.
    layers: of each kind of view, with its number.
    itemsize: bytes of an activation.
  """
  views: float
  layers: tuple[tuple[float, list[roofline.Layer]], ...]
  itemsize: int

  @property
  def train_flops(self) -> float:
    return sum(n * roofline.train_flops(layers) for n, layers in self.layers)

  def seconds(self, device: devices.Device) -> float:
    """The shortest time of a training step, per image."""
    return sum(n * roofline.seconds(layers, device, self.itemsize)
               for n, layers in self.layers)


def cost(method: base.Base, image_shape: tuple[int, int, int]) -> Cost:
  """Traces `method`; nothing is computed."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = {'image': jax.ShapeDtypeStruct((2, *image_shape), jnp.uint8)}
  views = [x for x in jax.tree.leaves(jax.eval_shape(method.views, key, batch))
           if x.ndim == 4]
  variables = jax.eval_shape(lambda k: method.init(k, image_shape), key)

  def layers(view):
    one = jax.ShapeDtypeStruct((1, *view.shape[1:]), view.dtype)
    return roofline.trace(
        lambda v, x: method.network.apply(method.encoder(v), x, train=False),
        variables, one)

  return Cost(sum(v.shape[0] / 2 for v in views),
              tuple((v.shape[0] / 2, layers(v)) for v in views),
              jnp.dtype(method.dtype).itemsize)


def loss_flops(method: base.Base, image_shape: tuple[int, int, int],
               batch_size: int) -> float:
  """FLOPs of the objective's products, forward and backward, for a whole batch.

  They grow with its square where every row meets every other. What is computed
  for the metrics alone is counted as if it were differentiated too.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = {'image': jax.ShapeDtypeStruct((batch_size, *image_shape), jnp.uint8)}
  labels = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
  variables = jax.eval_shape(lambda k: method.init(k, image_shape), key)
  views = jax.eval_shape(method.views, key, batch)
  whole = roofline.trace(lambda v, x, y: method.loss(v.params, v, x, y)[0],
                         variables, views, labels)
  images_only = cost(method, image_shape).train_flops * batch_size
  return max(0.0, roofline.train_flops(whole) - images_only)
