"""Computes NT-Xent one tile of logits at a time, without the N x N matrix.

The value, the gradient and the metrics are those of objectives/contrastive.py. Each
device computes the logits of its own rows, but only for one block of images against
another at a time. Devices exchange two things: the embeddings, once, and in the
backward pass the N floats log sum_j exp(s_ij). Since s is symmetric, a device computes
both halves of the gradient of its rows from these floats, so no gradients are sent.

The log-sum-exp over tiles has a running maximum (Milakov & Gimelshein 2018,
arXiv:1805.02867; for contrastive losses, Cheng et al. 2024, arXiv:2410.17243).
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.objectives import contrastive
from ssl_jax.parallel import mesh as mesh_lib

# Largest size of dense logits on one device, in bytes, that 'auto' does not tile. It is
# that of 4096 images, SimCLR's batch. With their gradient, logits take half as much
# again, which is still little compared with the activations of as many images.
DENSE_BYTES = 2**28
# Images on each side of a tile, which has 2048 x 2048 logits, 16 MiB. A device that has
# fewer images takes a wider tile of the same size. 256 images are as fast on the CPU.
# The larger number is meant to use all of a GPU and still fit its last-level cache.
IMAGES = 1024
# Largest number of rows for which bfloat16 embeddings are multiplied in float32.
EXACT_ROWS = 2**14

MODES = {
    'auto': 'tiled on several devices, or if logits would exceed DENSE_BYTES',
    'always': 'always tiled',
    'never': 'never tiled',
}


def should_tile(mode: str, rows: int) -> bool:
  """Returns whether to tile the loss of `rows` embeddings on these devices.

  With several devices the tiled loss exchanges less data. For the dense loss, the
  partitioner gathers second views again for the metrics, and sums a gradient of all
  embeddings over the devices.

  Args:
    mode: a key of `MODES`.
    rows: number of embeddings in the global batch.

  Raises:
    errors.UserError: `mode` is no key of `MODES`.
  """
  errors.lookup('config.method.tiled', mode, MODES)
  needed = mesh_lib.num_devices() > 1 or 4 * rows**2 > DENSE_BYTES
  return mode == 'always' or mode == 'auto' and needed


def nt_xent_by_mode(mode: str, z: jax.Array, temperature: float,
                    **options: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Computes NT-Xent and its metrics, tiled or dense.

  Args:
    mode: a key of `MODES`.
    z: embeddings, [2B, D] of any float type, views interleaved.
    temperature: tau, positive; similarities are divided by it.
    **options: further arguments of `nt_xent`.

  Raises:
    errors.UserError: an argument is not accepted.
  """
  if should_tile(mode, len(z)):
    return nt_xent(z, temperature, **options)
  similarity = options.get('similarity', 'cosine')
  return (contrastive.nt_xent(z, temperature, **options),
          contrastive.contrastive_metrics(z, temperature, similarity=similarity))


def nt_xent(z: jax.Array, temperature: float, *, similarity: str = 'cosine',
            scale: str = 'paper', decoupled: bool = False
            ) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Computes `contrastive.nt_xent` and `contrastive.contrastive_metrics` in one pass.

  A device needs memory for all 2B embeddings and a few tiles. The number of
  multiplications is not larger than for the dense loss: the backward pass computes the
  logits again, but saves one of two products because they are symmetric.

  Args:
    z: embeddings, [2B, D] of any float type, views interleaved. The computation is
      float32, except products of more than `EXACT_ROWS` rows of bfloat16.
    temperature: tau, positive; similarities are divided by it.
    similarity: a key of `contrastive.SIMILARITIES`.
    scale: a key of `contrastive.SCALES`.
    decoupled: whether the other view is left out of the denominator.

  Returns:
    The loss, a float32 scalar, and the metrics, which have no gradient.

  Raises:
    errors.UserError: `temperature`, `similarity` or `scale` is not accepted.
  """
  factor = errors.lookup('scale', scale, contrastive.SCALES)
  contrastive.check_temperature(temperature)
  halve = z.dtype == jnp.bfloat16 and len(z) > EXACT_ROWS
  pairs = contrastive.pairs(contrastive.embed(z, similarity))
  positive = (pairs[:, 0] * pairs[:, 1]).sum(-1) / temperature
  log_total, metrics = _log_total(
      pairs.astype(jnp.bfloat16) if halve else pairs, temperature, decoupled)
  return factor * (log_total - positive.mean()), metrics


class LogSumExpState(NamedTuple):
  """Holds the running sums over the logits of both views of one image.

  Attributes:
    peak: the largest logit of each view, [2].
    total: sum of exp(logit - peak) of each view, [2].
    best: the largest logit of the first view among second views.
    image: index of the image with the logit `best`.
    crossed: sum of exp(logit - best) of the first view over second views.
    weighted: sum of exp(logit - best) * logit over the same logits.
  """
  peak: jax.Array
  total: jax.Array
  best: jax.Array
  image: jax.Array
  crossed: jax.Array
  weighted: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _log_total(pairs, temperature, decoupled):
  """Returns the mean over rows i of log sum_j exp(s_ij), j not i, and the metrics.

  `pairs` are the embeddings [B, 2, D]. If `decoupled`, j is no view of the same image.
  """
  return _forward(pairs, temperature, decoupled)[0]


def _forward(pairs, temperature, decoupled):
  everywhere = mesh_lib.all_gather(pairs)
  of_image = functools.partial(_image_forward, temperature=temperature,
                               decoupled=decoupled, width=_width(len(pairs)))
  log_totals, hits, entropies = mesh_lib.shard_map_rows(
      functools.partial(_by_blocks, of_image),
      (jnp.arange(len(pairs)), pairs), everywhere)
  metrics = {'contrastive_accuracy': hits.astype(jnp.float32).mean(),
             'contrastive_entropy': entropies.mean()}
  return (log_totals.mean(), metrics), (pairs, everywhere, log_totals)


def _backward(temperature, decoupled, residuals, cotangents):
  """Returns the gradient of `_log_total` by the embeddings.

  It is dz_i = sum_j (p_ij + p_ji) z_j / (N tau), where p_ij = exp(s_ij - log_total_i).
  """
  pairs, everywhere, log_totals = residuals
  of_image = functools.partial(_image_backward, temperature=temperature,
                               decoupled=decoupled, width=_width(len(pairs)))
  pulled = mesh_lib.shard_map_rows(
      functools.partial(_by_blocks, of_image),
      (jnp.arange(len(pairs)), pairs, log_totals),
      (everywhere, mesh_lib.all_gather(log_totals)))
  gradient = cotangents[0] / (log_totals.size * temperature) * pulled
  return (gradient.astype(pairs.dtype),)


_log_total.defvjp(_forward, _backward)


def _by_blocks(of_image, images, columns):
  """Applies `of_image(image, columns)` to each image, IMAGES at a time."""
  return jax.lax.map(lambda own: of_image(own, columns), images, batch_size=IMAGES)


def _image_forward(own, everywhere, *, temperature, decoupled, width):
  """Compares one image with all images, block by block.

  Returns:
    log sum_j exp(s_ij) of both views [2], whether the second view of the image is the
    nearest one of its first view, and the entropy of that prediction in nats.
  """
  image, pair = own

  def body(state, block):
    first, columns = block
    logits = _tile(image, pair, first, columns, len(everywhere), temperature)
    summed = _without_pair(logits, image, first) if decoupled else logits
    peak = jnp.maximum(state.peak, summed.max(-1))
    # Before the first logit that counts, the peak is -inf and the total is 0.
    shift = jnp.where(peak == -jnp.inf, 0., peak)
    total = (state.total * jnp.exp(state.peak - shift)
             + jnp.exp(summed - shift[:, None]).sum(-1))
    second = logits[0, 1::2]
    best = jnp.maximum(state.best, second.max())
    # Among equal logits the first image wins, as in an argmax.
    winner = jnp.where(second.max() > state.best, first + second.argmax(), state.image)
    p, rescale = jnp.exp(second - best), jnp.exp(state.best - best)
    weighted = jnp.where(second == -jnp.inf, 0., p * second)
    return LogSumExpState(
        peak, total, best, winner, state.crossed * rescale + p.sum(),
        state.weighted * rescale + weighted.sum()), None

  nothing, zero = jnp.full(2, -jnp.inf), jnp.float32(0)
  state, _ = jax.lax.scan(
      body, LogSumExpState(nothing, jnp.zeros(2), nothing[0], image, zero, zero),
      _blocks(everywhere, width))
  entropy = state.best + jnp.log(state.crossed) - state.weighted / state.crossed
  return state.peak + jnp.log(state.total), state.image == image, entropy


def _image_backward(own, everything, *, temperature, decoupled, width):
  """Returns sum_j (p_ij + p_ji) z_j for both views i of an image, float32 [2, D]."""
  image, pair, log_total = own
  everywhere, log_totals = everything

  def body(pulled, block):
    (first, columns), (_, column_totals) = block
    logits = _tile(image, pair, first, columns, len(everywhere), temperature)
    if decoupled:
      logits = _without_pair(logits, image, first)
    p = (jnp.exp(logits - log_total[:, None])
         + jnp.exp(logits - column_totals.reshape(1, -1)))
    columns = columns.reshape(p.shape[1], -1)
    return pulled + _matmul(p.astype(columns.dtype), columns), None

  pulled, _ = jax.lax.scan(body, jnp.zeros(pair.shape, jnp.float32),
                           (_blocks(everywhere, width), _blocks(log_totals, width)))
  return pulled


def _width(images):
  """Returns the number of images across a tile, for a global batch of `images`."""
  own = min(IMAGES, images // mesh_lib.num_devices())
  tiles = math.ceil(images / (IMAGES**2 // own))
  return math.ceil(images / tiles)  # equal tiles need the least padding


def _blocks(x, size):
  """Cuts [B, 2, ...] into blocks of `size` images, padded with zeros.

  Returns:
    The index of the first image of each block, and [blocks, size, 2, ...].
  """
  x = jnp.pad(x, ((0, -len(x) % size),) + ((0, 0),) * (x.ndim - 1))
  return jnp.arange(0, len(x), size), x.reshape(-1, size, *x.shape[1:])


def _tile(image, pair, first, columns, images, temperature):
  """Returns logits of one image with a block of C images, [2, 2C].

  The logit of a view with itself and those with padding are -inf.
  """
  logits = _matmul(pair, columns.reshape(-1, pair.shape[1]).T) / temperature
  column = 2 * first + jnp.arange(logits.shape[1])[None]
  itself = column == (2 * image + jnp.arange(2))[:, None]
  return jnp.where(itself | (column >= 2 * images), -jnp.inf, logits)


def _without_pair(logits, image, first):
  """Returns logits [2, 2C] that are -inf for the views of the same image."""
  other = first + jnp.arange(logits.shape[1])[None] // 2
  return jnp.where(other == image, -jnp.inf, logits)


def _matmul(a, b):
  """Multiplies float32 matrices exactly, or bfloat16 ones with float32 sums."""
  return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST,
                    preferred_element_type=jnp.float32)
