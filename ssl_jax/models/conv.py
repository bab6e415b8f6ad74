"""Convolution in a form that XLA:CPU trains fast; elsewhere the plain one.

XLA:CPU is good at convolutions. A training step loses its time around them:

* The gradient of a kernel is a convolution of transposed images. XLA fuses into
  that transpose the chain of normalisations, sums and ReLUs that made the images,
  back to the start of the stage, and computes it anew in strides of an image.
* For 1x1 kernels it takes the same road, where one matrix product would do.
"""

from typing import Any

import jax
import jax.numpy as jnp

# The platform to lower for, where it is not the default backend. To compile for
# a TPU that this host has not got: `with conv.platform('tpu'): ...lower(...)`.
platform = jax.make_user_context(None)


def on_cpu() -> bool:
  """Returns whether the function being traced will run on the CPU."""
  return (platform.value or jax.default_backend()) == 'cpu'


def conv_general_dilated(lhs: jax.Array, rhs: jax.Array, window_strides: Any,
                         padding: Any, **options: Any) -> jax.Array:
  """`jax.lax.conv_general_dilated`, for `flax.linen.Conv` to call.

  Values and gradients are the plain convolution's up to the order of its sums. On
  GPU and TPU it is the plain convolution, operation for operation. The choice is
  made when a function is traced, by `platform`; `jax.jit` keeps its traces apart.

  Args:
    lhs: images, [B, H, W, C].
    rhs: kernel, [k, k, C / groups, D].
    window_strides: one per spatial dimension.
    padding: (low, high) per spatial dimension.
    **options: as of the plain convolution, with the dimension numbers of NHWC
      images and HWIO kernels.

  Returns:
    [B, h, w, D], of the plain convolution's dtype.
  """
  if on_cpu():
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
  """The identity, in a form that XLA:CPU does not fuse into several users.

  It drops `optimization_barrier` before it fuses, and repeats what has one large
  operand. A select counts as two, and as such is computed and kept.
  """
  return jnp.where(jnp.isnan(x), jnp.nan, x)


computed_once.defjvp(lambda primals, tangents: (computed_once(*primals), *tangents))


def _is_product(lhs: jax.Array, rhs: jax.Array, padding: Any, *,
                lhs_dilation: Any = None, **_: Any) -> bool:
  """Returns whether the convolution is one matrix product at every position."""
  spread = lhs_dilation is not None and max(lhs_dilation) > 1
  return (lhs.ndim == 4 and rhs.shape[:3] == (1, 1, lhs.shape[-1]) and not spread
          and not any(low or high for low, high in padding))
