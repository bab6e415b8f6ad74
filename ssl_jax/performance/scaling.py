"""How long the collectives of a step take on the torus of a TPU."""

from collections.abc import Iterable

from ssl_jax.performance import devices, hlo

HOP = 1e-6  # seconds from one chip to the next, send and receive included


def communication(collectives: Iterable[hlo.Collective], torus: devices.Torus,
                  chips: int) -> float:
  """Seconds that the collectives of a step take, one after the other.

  Each costs its bytes over the bandwidth of all links of a chip, and its way
  across the slice, hop by hop; an all-reduce costs that twice. Nothing is hidden
  behind computation.

  Args:
    collectives: as compiled for `chips`; see `resized`.
    torus: how chips are wired.
    chips: of the slice, taken to be as close to a square or cube as can be.
  """
  if chips == 1:
    return 0.0
  closed = chips >= torus.closed_from
  bandwidth = torus.bandwidth if closed else torus.bandwidth / 2
  side = chips ** (1 / torus.dimensions)
  hops = torus.dimensions * (side / 2 if closed else side - 1)
  total = 0.0
  for c in collectives:
    sent = c.bytes * (chips - 1) / chips
    if c.op == 'reduce-scatter':  # what it leaves is one part of what it sends
      sent *= chips
    rounds = 2 if c.op == 'all-reduce' else 1
    total += c.count * rounds * (sent / bandwidth + hops * HOP)
  return total


def resized(collectives: Iterable[hlo.Collective], rows: int, compiled_for: int,
            chips: int) -> list[hlo.Collective]:
  """The same step, with the same batch per chip, on another number of chips.

  Gathered arrays grow with the chips, and so do arrays with one row for each
  image; parameters and statistics stay.

  Args:
    collectives: as compiled.
    rows: images of the whole batch as compiled.
    compiled_for: chips.
    chips: asked for.
  """
  def shape(op, old):
    grows = op == 'all-gather' or any(d and d % rows == 0 for d in old[:1])
    return (max(1, round(old[0] * chips / compiled_for)), *old[1:]) if (
        grows and old) else old
  return [hlo.Collective(c.op, tuple((dtype, shape(c.op, old))
                                     for dtype, old in c.arrays), c.count)
          for c in collectives]
