"""Runs a common PyTorch loop, in which a DataLoader's workers augment each image.

Like SimCLR in lightly and solo-learn, it applies torchvision's transforms to PIL
images, makes two tensors per image, and trains an eager network in NCHW. If torchvision
is not installed, the same operations are written with PIL. The network, objective and
optimizer are those of `torch_step`, which are at least as fast as those of the two
libraries.
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
  """Makes two float32 views [3, h, w] of each uint8 image.

  Args:
    images: uint8 [N, H, W, 3].
    size: side of a view in pixels.
    strength: strength of the colour jitter.
  """

  def __init__(self, images: np.ndarray, size: int, strength: float):
    self._images = images
    self._view = _torchvision(size, strength) if transforms else _pil(size, strength)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = Image.fromarray(self._images[i])
    return self._view(image), self._view(image)


class Forever(data.Sampler):
  """Yields indices in random order without end."""

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
  """Trains in a `benchmarks.harness.worker` process; `run` is timed.

  Args:
    config: plain config of a case of SimCLR.
    workers: number of processes that load; 0 loads in the training process.
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
    """Returns the seconds per step, after the first batches of new workers are used.

    Workers end with the call, so that they do not run while the other side is timed.
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
