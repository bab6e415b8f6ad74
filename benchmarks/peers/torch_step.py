"""Implements our training step in PyTorch, with its means for speed, as the peer.

uint8 images are on the device, and views are made there for the whole batch at once.
Augmentation, forward pass and objective are one compiled function. The dtype is float32
on a CPU and bfloat16 autocast on a GPU. The metrics of our step (contrastive accuracy
and norm of the gradient) are left out.
"""

import math
import os
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.peers import torch_augment, torch_networks

COMPILE = ('eager', 'default', 'reduce-overhead', 'max-autotune')
LAYOUTS = ('nchw', 'channels_last')


def nt_xent(z: torch.Tensor, temperature: float) -> torch.Tensor:
  """Computes NT-Xent (Chen et al. 2020, equation 1) of embeddings [2N, D], in float32.

  The two views of an image are adjacent rows.
  """
  z = F.normalize(z.float(), dim=1)
  logits = z @ z.T / temperature
  i = torch.arange(len(z), device=z.device)
  return F.cross_entropy(logits.masked_fill(i[:, None] == i, -math.inf), i ^ 1)


def objective(config: dict[str, Any], outputs: torch.Tensor) -> torch.Tensor:
  """Computes the loss of embeddings, or of the logits of RotNet's four rotations."""
  if config['method']['name'] == 'simclr':
    return nt_xent(outputs, config['method']['temperature'])
  rotations = torch.arange(len(outputs), device=outputs.device) % 4
  return F.cross_entropy(outputs.float(), rotations)


def optimizer(config: dict[str, Any], network: torch.nn.Module) -> Any:
  """Builds SGD with Nesterov momentum, or LARS, by the config of a case."""
  optim = config['optim']
  mask = optim.get('weight_decay_mask', 'kernels')
  plain, decayed = [], []
  for name, p in network.named_parameters():
    (decayed if mask == 'all' or is_kernel(name) else plain).append(p)
  if optim['name'] == 'sgd':
    groups = [{'params': decayed, 'weight_decay': optim['weight_decay']},
              {'params': plain, 'weight_decay': 0.}]
    return torch.optim.SGD([g for g in groups if g['params']], optim['learning_rate'],
                           momentum=0.9, nesterov=True, fused=True)
  assert optim['name'] == 'lars' and mask == 'kernels', optim
  return LARS(decayed, plain, optim['learning_rate'], optim['weight_decay'])


def is_kernel(name: str) -> bool:
  """Returns True unless the parameter is a bias or belongs to a normalisation."""
  *_, module, kind = name.split('.')
  return kind == 'weight' and not module.startswith('bn')


class LARS:
  """Implements LARS; as in google-research/simclr, biases and BatchNorm do not adapt.

  Args:
    adapted: parameters with weight decay and an adapted learning rate.
    plain: other parameters.
    lr: learning rate.
    weight_decay: weight decay of the adapted parameters.
  """

  def __init__(self, adapted: list[torch.Tensor], plain: list[torch.Tensor], lr: float,
               weight_decay: float):
    self._groups = [(adapted, [torch.zeros_like(p) for p in adapted]),
                    (plain, [torch.zeros_like(p) for p in plain])]
    self._lr, self._weight_decay = lr, weight_decay
    self._update = lars_update

  def compile(self) -> None:
    self._update = torch.compile(lars_update)

  def step(self) -> None:
    for (params, moments), adapt in zip(self._groups, (True, False), strict=True):
      self._update(params, [p.grad for p in params], moments, self._lr,
                   self._weight_decay, adapt)

  def zero_grad(self, set_to_none: bool) -> None:
    assert set_to_none
    for params, _ in self._groups:
      for p in params:
        p.grad = None


@torch.no_grad()
def lars_update(params: list[torch.Tensor], grads: list[torch.Tensor],
                moments: list[torch.Tensor], lr: float, weight_decay: float,
                adapt: bool) -> None:
  """Updates parameters and moments in place; the rate is applied before the momentum.

  Args:
    params: parameters.
    grads: gradients of the parameters.
    moments: momentum buffers of the parameters.
    lr: learning rate.
    weight_decay: weight decay, if `adapt`.
    adapt: whether the learning rate is adapted to the norms.
  """
  if adapt:
    grads = torch._foreach_add(grads, params, alpha=weight_decay)
    norms = torch.stack(torch._foreach_norm(params))
    own = torch.stack(torch._foreach_norm(grads))
    trust = torch.where((norms > 0) & (own > 0), 0.001 * norms / own, 1.)
    grads = torch._foreach_mul(grads, list(trust.unbind()))
  torch._foreach_mul_(moments, 0.9)
  torch._foreach_add_(moments, grads, alpha=lr)
  torch._foreach_sub_(params, moments)


class Trainer:
  """Trains on random images in a `benchmarks.harness.worker` process; `run` is timed.

  Args:
    config: plain config of a case.
    compile: one of `COMPILE`: 'eager', or a mode of `torch.compile`.
    layout: memory layout, one of `LAYOUTS`.
    views_given: whether `step` takes views instead of images.
  """

  def __init__(self, config: dict[str, Any], compile: str = 'eager',
               layout: str = 'nchw', views_given: bool = False):
    torch.manual_seed(config['seed'])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cudnn.benchmark = True
    self.cuda = torch.cuda.is_available()
    self.device = torch.device('cuda' if self.cuda else 'cpu')
    self.config, self.batch_size = config, config['feed']['batch_size']
    network = torch_networks.Network(config).to(self.device)
    if layout == 'channels_last':
      network = network.to(memory_format=torch.channels_last)
    self.network, self._graphs = network, compile in COMPILE[2:]
    self.optimizer = optimizer(config, network)
    self._loss = self.loss_of_views if views_given else self.loss_of_images
    if compile != 'eager':
      mode = {'mode': compile} if compile != 'default' else {}
      self._loss = torch.compile(self._loss, **mode)
      if isinstance(self.optimizer, LARS):  # SGD has a fused kernel
        self.optimizer.compile()
    self._layout = (torch.channels_last if layout == 'channels_last' else
                    torch.contiguous_format)
    self._batches = self._noise()

  def describe(self) -> dict[str, Any]:
    """Returns figures of the program and its versions, in types that JSON has."""
    return {'parameters': sum(p.numel() for p in self.network.parameters()),
            'torch': torch.__version__, 'threads': torch.get_num_threads(),
            'peak_memory_bytes':
                torch.cuda.max_memory_allocated() if self.cuda else None}

  def run(self, steps: int) -> float:
    """Returns the seconds per step; reading the last loss waits for all steps."""
    start = time.perf_counter()
    for _ in range(steps):
      loss = self.step(next(self._batches))
    loss = loss.item()
    assert math.isfinite(loss), f'the loss is {loss}'
    return (time.perf_counter() - start) / steps

  def step(self, batch: torch.Tensor) -> torch.Tensor:
    """Updates by a batch of images or views, and returns the loss on the device."""
    if self._graphs:
      torch.compiler.cudagraph_mark_step_begin()
    loss = self._loss(batch)
    loss.backward()
    self.optimizer.step()
    self.optimizer.zero_grad(set_to_none=True)
    return loss.detach()

  def loss_of_views(self, views: torch.Tensor) -> torch.Tensor:
    """Computes the objective of views, float [N * V, 3, h, w]."""
    with torch.autocast(self.device.type, torch.bfloat16, enabled=self.cuda):
      outputs = self.network(views.contiguous(memory_format=self._layout))
    return objective(self.config, outputs)

  def loss_of_images(self, images: torch.Tensor) -> torch.Tensor:
    """Computes the objective of images, uint8 [N, H, W, 3]."""
    return self.loss_of_views(torch_augment.views(self.config['augment'], images))

  def _noise(self) -> Iterator[torch.Tensor]:
    """Yields batches of resident random images, in a new order every epoch."""
    data = self.config['data']
    side, n = data.get('image_size') or 32, data['num_examples']
    images = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8,
                           device=self.device)
    while True:
      order = torch.randperm(n, device=self.device)
      for i in range(n // self.batch_size):
        yield images[order[i * self.batch_size:(i + 1) * self.batch_size]]

