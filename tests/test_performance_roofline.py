"""FLOPs, activations and times against figures reckoned layer by layer by hand."""

import jax
import jax.numpy as jnp
import pytest

from ssl_jax import models
from ssl_jax.performance import hardware, roofline

# fields, side of the image, 10^9 multiply-accumulates, 10^6 activations
NETWORKS = {
    'ResNet-20': (dict(name='resnet20', shortcut='torch'), 32, 0.0408, 0.201),
    'NIN-4': (dict(name='nin', blocks=4), 32, 0.2507, 0.68),
    'ResNet-18, CIFAR': (dict(name='resnet18', stem='cifar'), 32, 0.5554, 0.614),
    'ResNet-50, CIFAR': (dict(name='resnet50', stem='cifar'), 32, 1.2978, 3.432),
    'ResNet-50, 224 px': (dict(name='resnet50'), 224, 4.087, 11.11),
}


@pytest.fixture(scope='module')
def layers():
  return {name: roofline.network(models.build(**fields), (side, side, 3))
          for name, (fields, side, _, _) in NETWORKS.items()}


@pytest.mark.parametrize('name', NETWORKS)
def test_macs_and_activations(layers, name):
  _, _, macs, activations = NETWORKS[name]
  for computed, expected in ((sum(x.macs for x in layers[name]) / 1e9, macs),
                             (roofline.activations(layers[name]) / 1e6, activations)):
    digits = len(str(expected).split('.')[1])
    assert round(computed, digits) == expected
  assert roofline.train_flops(layers[name]) == 6 * sum(x.macs for x in layers[name])


@pytest.mark.parametrize('name, kind, views_per_second', [
    ('ResNet-20', 'NVIDIA H200', 738e3), ('NIN-4', 'NVIDIA H200', 188e3),
    ('ResNet-18, CIFAR', 'NVIDIA H200', 148e3), ('ResNet-18, CIFAR', 'TPU v4', 47.2e3),
    ('ResNet-18, CIFAR', 'TPU v5 lite', 32.7e3), ('ResNet-50, CIFAR', 'TPU v4', 11.4e3),
    ('ResNet-50, 224 px', 'NVIDIA H200', 12.0e3), ('ResNet-50, 224 px', 'TPU v4', 3580),
])
def test_the_roof(layers, name, kind, views_per_second):
  seconds = roofline.seconds(layers[name], hardware.find(kind), itemsize=2)
  assert 1 / seconds == pytest.approx(views_per_second, rel=5e-3)


def test_one_convolution_by_hand():
  """3x3, 4 -> 6 channels, 8x8, float32, on a device of 1 FLOP/s and 1 byte/s."""
  kernel, image = jnp.zeros((3, 3, 4, 6)), jnp.zeros((1, 8, 8, 4))
  def conv(x, w):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  layer, = roofline.trace(conv, image, kernel)
  assert layer == roofline.Layer(64 * 9 * 4 * 6, 64 * 4, 64 * 6, True)
  one = hardware.Device('one', 1.0, 1.0, 1)
  # 3 x 2 x 13,824 FLOPs outweigh 3 x 4 x 640 bytes; then 8 passes over 384 floats.
  assert roofline.seconds([layer], one, 4) == 6 * 13_824 + 8 * 4 * 384


def test_products_and_loops():
  def loop(x, w):
    return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0]
  found = roofline.trace(loop, jnp.zeros((2, 7)), jnp.zeros((7, 7)))
  assert found == 5 * [roofline.Layer(2 * 7 * 7, 14, 14, False)]
