"""A stock loop: every image is augmented by itself, in the workers of a DataLoader.

As lightly and solo-learn ship SimCLR: torchvision's transforms on PIL images, two
tensors per image, an eager network in NCHW. Where torchvision is not installed the
same operations are written with PIL. The network, objective and optimizer are those
of `torch_step`, which flatters the peer: theirs are not faster.
"""

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils import data

from benchmarks.peers import pil_views, torch_step

try:
  from torchvision import transforms
except ImportError:
  transforms = None


class Pairs(data.Dataset):
  """Two float32 views [3, h, w] of images held as uint8."""

  def __init__(self, images: np.ndarray, size: int, strength: float):
    self._images = images
    self._view = _torchvision(size, strength) if transforms else _pil(size, strength)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = Image.fromarray(self._images[i])
    return self._view(image), self._view(image)


class Forever(data.Sampler):
  """Indices in any order, without an end."""

  def __init__(self, n: int):
    self._n = n

  def __iter__(self) -> Iterator[int]:
    while True:
      yield from torch.randperm(self._n).tolist()


def _torchvision(size: int, strength: float) -> Any:
  s = strength
  jitter = transforms.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
  kernel = size // 10 // 2 * 2 + 1
  blur = [transforms.RandomApply([transforms.GaussianBlur(kernel, (0.1, 2.))], 0.5)]
  return transforms.Compose([
      transforms.RandomResizedCrop(size, (0.08, 1)), transforms.RandomHorizontalFlip(),
      transforms.RandomApply([jitter], 0.8), transforms.RandomGrayscale(0.2),
      *(blur if size > 32 else []), transforms.ToTensor()])


def _pil(size: int, strength: float) -> Any:
  def view(image):
    made = pil_views.view(image, strength, random, size, 0.5 * (size > 32))
    return torch.from_numpy(made.copy()).permute(2, 0, 1).float() / 255
  return view


class Stock:
  """See `benchmarks.harness.worker`; `run` is what is timed.

  Args:
    config: a case's; SimCLR only.
    workers: processes that load; 0 is the training process itself.
  """

  def __init__(self, config: dict[str, Any], workers: int):
    self._trainer = trainer = torch_step.Trainer(config, views_given=True)
    side = config['data'].get('image_size') or 32
    n = min(config['data']['num_examples'], 2**26 // (3 * side**2))
    images = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)
    augment = config['augment']
    pairs = Pairs(images, augment.get('size') or side, augment['strength'])
    self._loader = data.DataLoader(
        pairs, trainer.batch_size, sampler=Forever(n), num_workers=workers,
        drop_last=True, pin_memory=trainer.cuda)
    self._ready = workers * (self._loader.prefetch_factor or 0)

  def describe(self) -> dict[str, Any]:
    return {**self._trainer.describe(), 'loader_workers': self._loader.num_workers,
            'transforms': 'torchvision' if transforms else 'PIL'}

  def run(self, steps: int) -> float:
    """Seconds per step, from when the first batches of fresh workers are used up.

    The workers end with the call: they must not go on while others are timed.
    """
    batches = iter(self._loader)
    for pair in itertools.islice(batches, self._ready):
      self._step(pair)
    start = time.perf_counter()
    for pair in itertools.islice(batches, steps):
      loss = self._step(pair)
    loss = loss.item()
    return (time.perf_counter() - start) / steps

  def _step(self, pair: list[torch.Tensor]) -> torch.Tensor:
    device = self._trainer.device
    first, second = (x.to(device, non_blocking=True) for x in pair)
    return self._trainer.step(torch.stack((first, second), 1).flatten(0, 1))
