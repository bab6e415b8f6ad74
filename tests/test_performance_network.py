"""Tests what an image costs the networks of a method against counts by hand."""

import tiny
import tiny_compression

from ssl_jax import methods, models
from ssl_jax.performance import hardware, network, roofline


def test_cost_of_an_image_counts_its_views_and_heads():
  simclr = methods.build(tiny.config('simclr'), 4)
  rotnet = methods.build(tiny.config('rotnet'), 4)
  assert network.cost(simclr, (8, 8, 3)).views == 2
  assert network.cost(rotnet, (8, 8, 3)).views == 4
  resnet8 = models.build(**tiny.MODEL)
  encoder = roofline.train_flops(roofline.network(resnet8, (8, 8, 3)))
  pooled, hidden, dim = 16, 16, 8
  projector = 6 * (pooled * hidden + hidden * dim)
  assert network.cost(simclr, (8, 8, 3)).train_flops == 2 * (encoder + projector)


def test_a_target_network_costs_a_forward_pass():
  byol = methods.build(tiny.config('byol'), 4)
  cost = network.cost(byol, (8, 8, 3))
  encoder = sum(x.macs for x in roofline.network(models.build(**tiny.MODEL), (8, 8, 3)))
  projector, predictor = 16 * 16 + 16 * 8, 8 * 8 + 8 * 8
  online, target = encoder + projector + predictor, encoder + projector
  assert cost.views == 2
  assert cost.train_flops == 2 * (3 * 2 * online + 2 * target)
  # Of the target's layers alone: one pass, and three touches of the normalised maps.
  one = hardware.Device('one', 1.0, 1.0, 1)
  layer = roofline.Layer(10, 3, 4, True)
  assert roofline.seconds([layer], one, 2, trained=False) == 20 + 3 * 2 * 4
  # The objective has no products: nothing is left of the loss but its networks.
  assert network.loss_flops(byol, (8, 8, 3), 16) == 0


def test_flops_of_nt_xent_grow_with_the_square_of_the_batch():
  simclr = methods.build(tiny.config('simclr'), 4)
  small, large = (network.loss_flops(simclr, (8, 8, 3), b) for b in (16, 64))
  # [2B, 2B] logits, and [B, B] of the metrics, of 8-dimensional embeddings.
  assert small == 6 * (32 * 32 + 16 * 16) * 8
  assert large == 16 * small


def test_a_compressed_method_costs_what_the_method_in_it_costs():
  plain, compressed = (methods.build(fields, 4) for fields in (
      {**tiny.config('simclr'), 'model': {'name': 'resnet8'}},
      tiny_compression.pretraining(model='resnet8')))
  expected = network.cost(plain, (8, 8, 3)).train_flops
  assert network.cost(compressed, (8, 8, 3)).train_flops == expected > 0
  assert network.loss_flops(compressed, (8, 8, 3), 16) == network.loss_flops(
      plain, (8, 8, 3), 16)
