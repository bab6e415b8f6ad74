"""NT-Xent without its N x N matrix: a tile of logits at a time.

The value, gradient and metrics of objectives/contrastive.py. Each device keeps the
logits of its own rows, as there, but of one block of images against another at a
time. Two things cross devices: the embeddings, once, and in the backward pass the
N floats log sum_j exp(s_ij). Since s is symmetric, those floats give every device
both halves of the gradient of its rows, so none of it is sent back.

Log-sum-exp over tiles with a running maximum: Milakov & Gimelshein 2018,
arXiv:1805.02867; for contrastive losses, Cheng et al. 2024, arXiv:2410.17243.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.objectives import contrastive
from ssl_jax.parallel import mesh as mesh_lib

# Dense logits that one device may hold, in bytes, before 'auto' tiles them: those of
# 4096 images, SimCLR's batch. With their gradient they take half as much again,
# still little beside the activations of as many images.
DENSE_BYTES = 2**28
# Images on either side of a tile: 2048 x 2048 logits, 16 MiB. On the CPU 256 are as
# fast; more is meant to keep a GPU busy, without leaving its last cache.
IMAGES = 1024
# Rows up to which bfloat16 embeddings, too, are multiplied in float32.
EXACT_ROWS = 2**14

MODES = {
    'auto': 'on several devices, and on one whose logits would exceed DENSE_BYTES',
    'always': 'whatever the size',
    'never': 'the dense loss',
}


def should_tile(mode: str, rows: int) -> bool:
  """Returns whether to tile the loss of `rows` embeddings on these devices.

  Several devices send less to each other that way: of the dense loss the partitioner
  gathers second views once more for its metrics, and sums a gradient of all
  embeddings over the devices.

  Raises:
    errors.UserError: `mode` is no key of `MODES`.
  """
  errors.lookup('config.method.tiled', mode, MODES)
  needed = mesh_lib.num_devices() > 1 or 4 * rows**2 > DENSE_BYTES
  return mode == 'always' or mode == 'auto' and needed


def nt_xent(z: jax.Array, temperature: float, *, similarity: str = 'cosine',
            scale: str = 'paper') -> tuple[jax.Array, dict[str, jax.Array]]:
  """`contrastive.nt_xent` and `contrastive.contrastive_metrics` in one pass.

  Memory per device is that of all 2B embeddings and a few tiles. It multiplies
  no more than the dense loss: the backward pass computes the logits again, but
  their symmetry saves it one of two products.

  Args:
    z: [2B, D] of any float type, views interleaved; computed in float32, but for
      the products of more than `EXACT_ROWS` bfloat16 rows.
    temperature, similarity, scale: as for `contrastive.nt_xent`.

  Returns:
    The loss, a float32 scalar, and the metrics, through which no gradient flows.

  Raises:
    errors.UserError: as `contrastive.nt_xent`.
  """
  factor = errors.lookup('scale', scale, contrastive.SCALES)
  contrastive.check_temperature(temperature)
  halve = z.dtype == jnp.bfloat16 and len(z) > EXACT_ROWS
  pairs = contrastive.pairs(contrastive.embed(z, similarity))
  positive = (pairs[:, 0] * pairs[:, 1]).sum(-1) / temperature
  log_total, metrics = _log_total(
      pairs.astype(jnp.bfloat16) if halve else pairs, temperature)
  return factor * (log_total - positive.mean()), metrics


class LogSumExpState(NamedTuple):
  """Holds the running log-sum-exp of the logits of each row."""
  peak: jax.Array      # [2] the largest
  total: jax.Array     # [2] sum of exp(logit - peak)
  best: jax.Array      # the largest of the first view among second views,
  image: jax.Array     # whose that is,
  crossed: jax.Array   # sum of exp(logit - best) over second views,
  weighted: jax.Array  # and of exp(logit - best) * logit


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _log_total(pairs, temperature):
  """[B, 2, D] -> mean over rows of log sum_j exp(s_ij), j not i; the metrics."""
  return _forward(pairs, temperature)[0]


def _forward(pairs, temperature):
  everywhere = mesh_lib.all_gather(pairs)
  of_image = functools.partial(_image_forward, temperature=temperature)
  log_totals, hits, entropies = mesh_lib.shard_map_rows(
      functools.partial(_by_blocks, of_image),
      (jnp.arange(len(pairs)), pairs), everywhere)
  metrics = {'contrastive_accuracy': hits.astype(jnp.float32).mean(),
             'contrastive_entropy': entropies.mean()}
  return (log_totals.mean(), metrics), (pairs, everywhere, log_totals)


def _backward(temperature, residuals, cotangents):
  """dz_i = sum_j (p_ij + p_ji) z_j / (N tau), p_ij = exp(s_ij - log_total_i)."""
  pairs, everywhere, log_totals = residuals
  of_image = functools.partial(_image_backward, temperature=temperature)
  pulled = mesh_lib.shard_map_rows(
      functools.partial(_by_blocks, of_image),
      (jnp.arange(len(pairs)), pairs, log_totals),
      (everywhere, mesh_lib.all_gather(log_totals)))
  gradient = cotangents[0] / (log_totals.size * temperature) * pulled
  return (gradient.astype(pairs.dtype),)


_log_total.defvjp(_forward, _backward)


def _by_blocks(of_image, rows, columns):
  """`of_image(image's rows, columns)` for each image, IMAGES at a time."""
  return jax.lax.map(lambda own: of_image(own, columns), rows, batch_size=IMAGES)


def _image_forward(own, everywhere, *, temperature):
  """One image against all, block by block."""
  image, pair = own

  def body(row, block):
    first, columns = block
    logits = _tile(image, pair, first, columns, len(everywhere), temperature)
    peak = jnp.maximum(row.peak, logits.max(-1))
    total = (row.total * jnp.exp(row.peak - peak)
             + jnp.exp(logits - peak[:, None]).sum(-1))
    second = logits[0, 1::2]
    best = jnp.maximum(row.best, second.max())
    # On a tie the first image wins, as in an argmax.
    winner = jnp.where(second.max() > row.best, first + second.argmax(), row.image)
    p, rescale = jnp.exp(second - best), jnp.exp(row.best - best)
    weighted = jnp.where(second == -jnp.inf, 0., p * second)
    return LogSumExpState(peak, total, best, winner, row.crossed * rescale + p.sum(),
               row.weighted * rescale + weighted.sum()), None

  nothing, zero = jnp.full(2, -jnp.inf), jnp.float32(0)
  row, _ = jax.lax.scan(
      body, LogSumExpState(nothing, jnp.zeros(2), nothing[0], image, zero, zero),
      _blocks(everywhere))
  entropy = row.best + jnp.log(row.crossed) - row.weighted / row.crossed
  return row.peak + jnp.log(row.total), row.image == image, entropy


def _image_backward(own, everything, *, temperature):
  """Its two rows of sum_j (p_ij + p_ji) z_j, float32 [2, D]."""
  image, pair, log_total = own
  everywhere, log_totals = everything

  def body(pulled, block):
    (first, columns), (_, column_totals) = block
    logits = _tile(image, pair, first, columns, len(everywhere), temperature)
    p = (jnp.exp(logits - log_total[:, None])
         + jnp.exp(logits - column_totals.reshape(1, -1)))
    columns = columns.reshape(p.shape[1], -1)
    return pulled + _matmul(p.astype(columns.dtype), columns), None

  pulled, _ = jax.lax.scan(body, jnp.zeros(pair.shape, jnp.float32),
                           (_blocks(everywhere), _blocks(log_totals)))
  return pulled


def _blocks(x):
  """[B, 2, ...] -> indices of first images, and [blocks, IMAGES, 2, ...]."""
  size = min(IMAGES, len(x))
  x = jnp.pad(x, ((0, -len(x) % size),) + ((0, 0),) * (x.ndim - 1))
  return jnp.arange(0, len(x), size), x.reshape(-1, size, *x.shape[1:])


def _tile(image, pair, first, columns, images, temperature):
  """[2, 2C] logits; -inf against itself and against padding."""
  logits = _matmul(pair, columns.reshape(-1, pair.shape[1]).T) / temperature
  column = 2 * first + jnp.arange(logits.shape[1])[None]
  itself = column == (2 * image + jnp.arange(2))[:, None]
  return jnp.where(itself | (column >= 2 * images), -jnp.inf, logits)


def _matmul(a, b):
  """Exact float32 products, or those of bfloat16 summed in float32."""
  return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST,
                    preferred_element_type=jnp.float32)
