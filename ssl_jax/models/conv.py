"""Convolves images in a form that trains fast on XLA:CPU, and plainly elsewhere.

XLA:CPU computes convolutions fast. A training step is slow because of two things
around them:

* The gradient of a kernel is a convolution of transposed images. XLA fuses into
  that transpose the chain of normalisations, sums and ReLUs that made the images,
  back to the start of the stage, and repeats that computation with a memory stride of
  one image.
* A 1x1 convolution is computed in the same way, although one matrix product suffices.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax.parallel import platforms


def conv_general_dilated(lhs: jax.Array, rhs: jax.Array, window_strides: Any,
                         padding: Any, **options: Any) -> jax.Array:
  """Computes `jax.lax.conv_general_dilated`; `flax.linen.Conv` calls it.

  Values and gradients equal those of the plain convolution up to the order of sums. On
  GPU and TPU the operations are those of the plain convolution. The form is chosen
  when a function is traced, by `parallel.platforms`.

  Args:
    lhs: images, [B, H, W, C].
    rhs: kernel, [k, k, C / groups, D].
    window_strides: stride of each spatial dimension.
    padding: (low, high) of each spatial dimension.
    **options: further arguments of the plain convolution. The dimension numbers must
      be those of NHWC images and HWIO kernels.

  Returns:
    [B, h, w, D], with the dtype of the plain convolution.
  """
  if platforms.on_cpu():
    lhs = computed_once(lhs)
    if _is_product(lhs, rhs, padding, **options):
      rows, columns = window_strides
      lhs = lhs[:, ::rows, ::columns]
      out = jnp.dot(
          lhs.reshape(-1, lhs.shape[-1]), rhs[0, 0],
          precision=options.get('precision'),
          preferred_element_type=options.get('preferred_element_type'))
      return out.reshape(*lhs.shape[:3], -1)
  return jax.lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)


@jax.custom_jvp
def computed_once(x: jax.Array) -> jax.Array:
  """Returns `x` in a form that XLA:CPU computes once, even if it has several users.

  XLA:CPU removes `optimization_barrier` before fusion, and it fuses an operation with
  one large operand into each of its users. A select has two large operands, so XLA:CPU
  computes it once and stores the result.
  """
  return jnp.where(jnp.isnan(x), jnp.nan, x)


computed_once.defjvp(lambda primals, tangents: (computed_once(*primals), *tangents))


def _is_product(lhs: jax.Array, rhs: jax.Array, padding: Any, *,
                lhs_dilation: Any = None, **_: Any) -> bool:
  """Returns whether the convolution is one matrix product at every position."""
  spread = lhs_dilation is not None and max(lhs_dilation) > 1
  return (lhs.ndim == 4 and rhs.shape[:3] == (1, 1, lhs.shape[-1]) and not spread
          and not any(low or high for low, high in padding))
