"""Tests that the PyTorch peer of the benchmarks trains the same as our step."""

import pathlib
import sys

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

torch = pytest.importorskip('torch')
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # not an installed package

from benchmarks import convolutions_cpu  # noqa: E402
from benchmarks.harness import cases  # noqa: E402
from benchmarks.peers import torch_augment, torch_networks, torch_step  # noqa: E402
from ssl_jax import methods  # noqa: E402
from ssl_jax.augment import color, crop, filters, policies  # noqa: E402
from ssl_jax.objectives import contrastive  # noqa: E402
from ssl_jax.train import optim  # noqa: E402

torch.set_num_threads(1)
def method_of(config):
  return methods.build({**config, 'train': {**config['train'],
                                            'precision': 'float32'}}, num_classes=10)


def as_torch(network, tree):
  """Flax parameters as torch's, by the names of `network`."""
  flat = flax.traverse_util.flatten_dict(tree, sep='.')
  own = dict(network.named_parameters())
  translated = {}
  for name, value in flat.items():
    value = np.asarray(value)
    if name.endswith('kernel'):
      value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    name = name.replace('.kernel', '.weight').replace('.scale', '.weight')
    translated[name] = torch.tensor(np.ascontiguousarray(value))
  assert set(translated) == set(own)
  return translated


def noisy(key, tree):
  """Adds noise to parameters, since residual branches are initialised to output 0."""
  leaves, structure = jax.tree.flatten(tree)
  keys = jax.random.split(key, len(leaves))
  return jax.tree.unflatten(structure, [
      x + 0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves,
                                                              strict=True)])


@pytest.mark.parametrize('name', cases.CASES)
def test_as_many_parameters(name):
  config = cases.config(name)
  side = config['augment'].get('size') or 32
  method = method_of(config)
  variables = jax.eval_shape(lambda: method.init(jax.random.key(0), (side, side, 3)))
  ours = sum(x.size for x in jax.tree.leaves(variables.params))
  with torch.device('meta'):
    network = torch_networks.Network(config)
  assert sum(p.numel() for p in network.parameters()) == ours


@pytest.mark.parametrize('name', ['resnet20', 'resnet18', 'nin', 'resnet50_224'])
def test_the_same_loss_and_update(name, key):
  narrow = {'model': {'width': 0.25}} if name in ('resnet18', 'resnet50_224') else {}
  config = cases.config(name, 2, **narrow)
  method = method_of(config)
  side = 64 if name == 'resnet50_224' else 16
  init, noise, data = jax.random.split(key, 3)
  variables = method.init(init, (side, side, 3))
  params = noisy(noise, variables.params)
  rows = cases.views_per_image(config) * 2
  views = jax.random.uniform(data, (rows, side, side, 3))
  given = (views, jnp.arange(rows) % 4) if rows == 8 else views
  ours, grads = jax.jit(jax.value_and_grad(
      lambda p: method.loss(p, variables, given, jnp.zeros(2, jnp.int32))[0]))(params)

  trainer = torch_step.Trainer(config, views_given=True)
  translated = as_torch(trainer.network, params)
  for p_name, p in trainer.network.named_parameters():
    p.data.copy_(translated[p_name])
  loss = trainer.step(torch.tensor(np.asarray(views)).permute(0, 3, 1, 2))
  np.testing.assert_allclose(loss.item(), ours, rtol=1e-4)

  tx, _ = optim.build(optim.Optim(**config['optim']), batch_size=2, num_examples=100,
                      total_steps=100)
  updates, _ = tx.update(grads, tx.init(params), params)
  expected = as_torch(trainer.network, optax.apply_updates(params, updates))
  for p_name, p in trainer.network.named_parameters():
    np.testing.assert_allclose(p.detach(), expected[p_name], atol=2e-4,
                               err_msg=p_name)


@pytest.mark.parametrize('optimizer', ['lars', 'sgd'])
def test_optimizers_agree_over_several_steps(optimizer, key):
  config = cases.config('resnet20', optim={
      'name': optimizer, 'learning_rate': 0.5, 'weight_decay': 0.1})
  network = torch.nn.Module()
  network.dense1, network.bn1 = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)
  kernel, scale = np.arange(12.).reshape(3, 4) - 5, np.arange(4.)
  params = {'dense1': {'kernel': jnp.float32(kernel), 'bias': jnp.ones(4)},
            'bn1': {'scale': jnp.float32(scale), 'bias': jnp.ones(4)}}
  for name, value in as_torch(network, params).items():
    network.get_parameter(name).data.copy_(value)
  theirs = torch_step.optimizer(config, network)
  tx, _ = optim.build(optim.Optim(**config['optim']), batch_size=2, num_examples=100,
                      total_steps=100)
  state = tx.init(params)
  for k in jax.random.split(key, 3):
    grads = noisy(k, jax.tree.map(jnp.zeros_like, params))
    for name, value in as_torch(network, grads).items():
      network.get_parameter(name).grad = value
    theirs.step()
    theirs.zero_grad(set_to_none=True)
    assert all(p.grad is None for p in network.parameters())
    updates, state = tx.update(grads, state, params)
    params = optax.apply_updates(params, updates)
  for name, value in as_torch(network, params).items():
    np.testing.assert_allclose(network.get_parameter(name).detach(), value, rtol=1e-5,
                               err_msg=name)


def test_nt_xent_of_given_embeddings(key):
  z = jax.random.normal(key, (12, 5))
  theirs = torch_step.nt_xent(torch.tensor(np.asarray(z)), 0.2)
  np.testing.assert_allclose(theirs, contrastive.nt_xent(z, 0.2), rtol=1e-6)


def test_views_of_the_same_random_numbers(key):
  keys, side = jax.random.split(key, 64), 24
  images = jax.random.uniform(jax.random.key(1), (64, side, side, 3))
  u = jax.vmap(lambda k: jax.random.uniform(k, (40,)))(keys).reshape(64, 4, 10)
  box = lambda k: crop.tensorflow_box(k, side, side, (0.08, 1.), (3 / 4, 4 / 3))
  ours = jax.vmap(box)(keys)
  boxes = torch_augment.random_boxes(torch.tensor(np.asarray(u)), side, side)
  np.testing.assert_array_equal(boxes, np.stack(ours))
  same = lambda theirs, ours: np.testing.assert_allclose(
      theirs.permute(0, 2, 3, 1), ours, atol=2e-5)
  x = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
  same(torch_augment.crop_and_resize(x, boxes, 20), jax.vmap(
      lambda image, b: crop.crop_and_resize(image, b, (20, 20)))(images, ours))
  u = jax.vmap(lambda k: jax.random.uniform(k, (8,)))(keys)
  same(torch_augment.jitter(torch.tensor(np.asarray(u)), x, 0.5),
       jax.vmap(lambda k, image: color.jitter(k, image, 0.5))(keys, images))
  sigma = jnp.linspace(0.1, 2, 64)
  same(torch_augment.blur(x, torch.tensor(np.asarray(sigma))),
       jax.vmap(lambda image, s: filters.gaussian_blur(image, s, 1))(images, sigma))


@pytest.mark.parametrize('name', ['resnet20', 'nin'])
def test_views_are_distributed_as_ours(name, key):
  """Of one image, 4096 draws: the mean and the spread of every pixel and channel."""
  config = cases.config(name)
  image = np.asarray(jax.random.uniform(key, (16, 16, 3)) * 255).astype(np.uint8)
  images = np.broadcast_to(image, (2048, 16, 16, 3))
  method = method_of(config)
  ours = jax.jit(method.views)(jax.random.key(1), {'image': images})
  ours = np.asarray(ours[0] if name == 'nin' else ours)
  torch.manual_seed(0)
  theirs = torch_augment.views(config['augment'], torch.tensor(images))
  theirs = theirs.permute(0, 2, 3, 1).numpy()
  assert theirs.shape == ours.shape and theirs.dtype == ours.dtype
  v = cases.views_per_image(config)
  for k in range(v):  # the order of views, too
    a, b = ours[k::v], theirs[k::v]
    error = np.sqrt((a.var(0) + b.var(0)) / len(a))
    assert np.abs((a.mean(0) - b.mean(0)) / error).max() < 5
    np.testing.assert_allclose(b.std(0), a.std(0), rtol=0.15)


def test_policies_of_the_cases_are_those_the_peer_has():
  recipes = {cases.config(name)['augment']['recipe'] for name in cases.CASES}
  assert recipes == {'simclr_v2', 'rotnet'} <= set(policies.RECIPES)


@pytest.mark.parametrize('stride', [1, 2])
def test_both_sides_of_a_convolution_compute_the_same(stride):
  layer = convolutions_cpu.Layer(2, 8, 3, 4, stride)
  pairs = zip(convolutions_cpu.jax_passes(layer), convolutions_cpu.torch_passes(layer),
              strict=True)
  # Images are NHWC and NCHW, kernels HWIO and OIHW.
  for (ours, theirs), axes in zip(pairs, ((0, 2, 3, 1), (0, 2, 3, 1), (2, 3, 1, 0)),
                                  strict=True):
    np.testing.assert_allclose(theirs().permute(axes), ours(), rtol=1e-4, atol=1e-4)
