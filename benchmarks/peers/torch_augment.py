"""Implements our augmentation (simclr_v2 and rotnet) in PyTorch, on batches.

Images are float [N, 3, H, W] in [0, 1]. Random numbers are arguments, uniform in [0, 1)
with a row per image, so that tests can give both sides the same ones. As in our code,
every image has its own crop, colours and order of colour operations.
"""

from collections.abc import Mapping
from typing import Any

import torch

_ATTEMPTS = 10
_GRAY = (0.2989, 0.587, 0.114)


def views(augment: Mapping[str, Any], images: torch.Tensor) -> torch.Tensor:
  """Makes the two views of SimCLR, or the four of RotNet, of every image.

  Args:
    augment: section `augment` of the plain config.
    images: uint8 [N, H, W, 3].

  Returns:
    float32 [N * V, 3, h, w]; views of an image are adjacent.
  """
  x = images.permute(0, 3, 1, 2).float() / 255
  if augment['recipe'] == 'rotnet':
    return _rotations(augment, x)
  assert augment['recipe'] == 'simclr_v2', augment
  x = x.repeat_interleave(2, 0)
  draw = lambda *shape: torch.rand(len(x), *shape, device=x.device)
  size = augment.get('size') or x.shape[2]
  x = crop_and_resize(x, random_boxes(draw(4, _ATTEMPTS), *x.shape[2:]), size)
  x = _where(draw() < 0.5, x.flip(3), x)
  x = _where(draw() < 0.8, jitter(draw(8), x, augment['strength']), x)
  x = _where(draw() < 0.2, _gray(x).expand_as(x), x)
  p = augment.get('blur')
  p = (0.5 if size > 32 else 0.) if p is None else p
  if p and size >= 20:
    x = _where(draw() < p, blur(x, 0.1 + 1.9 * draw()), x)
  return x.clamp(0, 1)


def _rotations(augment: Mapping[str, Any], x: torch.Tensor) -> torch.Tensor:
  pad, n = augment['pad'], len(x)
  shift = torch.randint(-pad, pad + 1, (2, n, 1, 1), device=x.device)
  i = torch.arange(x.shape[2], device=x.device)
  rows, columns = ((i[:, None] + s == i[None]).float() for s in shift)
  x = rows[:, None] @ x @ columns[:, None].transpose(2, 3)
  x = _where(torch.rand(n, device=x.device) < 0.5, x.flip(3), x)
  mean, std = (torch.tensor(augment[k], device=x.device)[:, None, None]
               for k in ('mean', 'std'))
  x = (x - mean) / std
  return torch.stack([torch.rot90(x, k, (2, 3)) for k in range(4)], 1).flatten(0, 1)


def random_boxes(u: torch.Tensor, height: int, width: int) -> torch.Tensor:
  """Draws boxes by TensorFlow's sampler with google's ranges.

  Args:
    u: uniform random numbers [N, 4, attempts]; the first accepted attempt counts.
    height: height of the images in pixels.
    width: width of the images in pixels.

  Returns:
    Top, left, height and width in pixels, [4, N].
  """
  u = u.transpose(0, 1)
  least, most = 0.08 * height * width, float(height * width)
  aspect = 3 / 4 + u[0] * (4 / 3 - 3 / 4)
  tallest = (most / aspect).sqrt().round().clamp(max=height)
  tallest = torch.minimum(tallest, ((width + 0.5) / aspect).floor())
  shortest = torch.minimum((least / aspect).sqrt().round(), tallest)
  h = shortest + (u[1] * (tallest - shortest + 1)).floor()
  h = h + (h * (h * aspect).round() < least)
  h = h - (h * (h * aspect).round() > most).float()
  w = (h * aspect).round()
  valid = (h > 0) & (w > 0) & (h <= height) & (w <= width) & (h * w <= most)
  valid &= h * w >= 0.1 * height * width
  box = torch.stack([(u[2] * (height - h)).floor(), (u[3] * (width - w)).floor(), h, w])
  first = valid.float().argmax(1)
  box = box.gather(2, first[None, :, None].expand(4, -1, 1))[..., 0]
  whole = torch.tensor([0., 0., height, width], device=u.device)[:, None]
  return torch.where(valid.any(1), box, whole)


def crop_and_resize(x: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
  """Resizes a box of each image, bicubic without antialiasing, by matrix products.

  Args:
    x: images [N, 3, H, W].
    boxes: top, left, height and width in pixels, [4, N].
    size: side of the results in pixels.
  """
  top, left, height, width = boxes
  rows = _bicubic(x.shape[2], top, height, size)
  columns = _bicubic(x.shape[3], left, width, size)
  return rows[:, None] @ (x @ columns[:, None].transpose(2, 3))


def _bicubic(length: int, start: torch.Tensor, extent: torch.Tensor,
             size: int) -> torch.Tensor:
  """Returns matrices [N, size, length]; pixels outside the crop have weight 0."""
  pixel = torch.arange(length, device=start.device)
  middle = torch.arange(size, device=start.device) + 0.5
  start, extent = start[:, None], extent[:, None]
  position = start + middle * (extent / size) - 0.5
  x = (position[:, :, None] - pixel).abs()
  weights = torch.where(x < 1, (1.5 * x - 2.5) * x * x + 1,
                        torch.where(x < 2, ((2.5 - 0.5 * x) * x - 4) * x + 2, 0.))
  inside = (pixel >= start) & (pixel < start + extent)
  weights = weights * inside[:, None]
  return weights / weights.sum(2, keepdim=True)


def jitter(u: torch.Tensor, x: torch.Tensor, strength: float) -> torch.Tensor:
  """Changes brightness, contrast, saturation and hue, in random order.

  Args:
    u: uniform random numbers [N, 8]: four amounts, and four whose order is that of the
      operations.
    x: images [N, 3, H, W].
    strength: strength of all changes.
  """
  amount = (strength * (2 * u[:, :4] - 1)).T[:, :, None, None, None]
  factor = (1 + 0.8 * amount).clamp(min=0)
  position = u[:, 4:].argsort(1).argsort(1).T[:, :, None, None, None]
  for i in range(4):
    changed = torch.where(position[0] == i, x * factor[0], x)
    mean = x.mean((2, 3), keepdim=True)
    changed = torch.where(position[1] == i, mean + factor[1] * (x - mean), changed)
    changed = torch.where(position[2] == i, _saturation(x, factor[2]), changed)
    changed = torch.where(position[3] == i, _hue(x, 0.2 * amount[3]), changed)
    x = changed.clamp(0, 1)
  return x


def _saturation(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
  value, chroma = _value_and_chroma(x)
  inverse = value / torch.where(chroma > 0, chroma, 1)
  scale = torch.where((chroma > 0) & (value > 0), torch.minimum(factor, inverse), 1)
  return value - (value - x) * scale


def _hue(x: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
  value, chroma = _value_and_chroma(x)
  inverse = 1 / torch.where(chroma > 0, chroma, 1)
  r, g, b = x.split(1, 1)
  hue = torch.where(value == r, (g - b) * inverse,
                    torch.where(value == g, 2 + (b - r) * inverse,
                                4 + (r - g) * inverse))
  offset = torch.tensor([5., 3., 1.], device=x.device)[:, None, None]
  phase = (hue + 6 * delta + offset).remainder(6)
  return value - chroma * torch.minimum(phase, 4 - phase).clamp(0, 1)


def _value_and_chroma(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
  value = x.amax(1, keepdim=True)
  return value, value - x.amin(1, keepdim=True)


def _gray(x: torch.Tensor) -> torch.Tensor:
  r, g, b = x.split(1, 1)
  return _GRAY[0] * r + _GRAY[1] * g + _GRAY[2] * b


def blur(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
  """Blurs by a kernel of a tenth of the height, with zeros outside the image.

  Args:
    x: images [N, 3, H, W].
    sigma: standard deviation of each image in pixels, [N].
  """
  length, radius = x.shape[2], x.shape[2] // 10 // 2
  i = torch.arange(length, device=x.device)
  offset = i[:, None] - i[None]
  spread = 2 * sigma[:, None, None] ** 2
  taps = torch.arange(-radius, radius + 1, device=x.device)
  total = torch.exp(-taps ** 2 / spread).sum(2, keepdim=True)
  weights = torch.exp(-offset ** 2 / spread) / total * (offset.abs() <= radius)
  return weights[:, None] @ (x @ weights[:, None])


def _where(chosen: torch.Tensor, changed: torch.Tensor,
           x: torch.Tensor) -> torch.Tensor:
  return torch.where(chosen[:, None, None, None], changed, x)
