"""Writes image folders for tests, and returns what a scan of them finds and logs."""

import logging

import numpy as np
from PIL import Image

from ssl_jax.data import folder, notices


def save(path, value=0, size=(8, 8), mode='RGB'):
  """Writes an image of one colour; its folder is made where it is missing."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new(mode, size, value if mode == 'L' else (value,) * len(mode)).save(path)


def write_images(root, *folders, n=4):
  """Writes n images into every folder, in a shade of its own."""
  for shade, name in enumerate(folders):
    for i in range(n):
      save(root / name / f'{i}.png', 10 * shade)
  return root


def counts(root):
  """Counts the images of every class that a scan finds in every split."""
  return {split: np.bincount(x.labels).tolist() if x.class_names else len(x.paths)
          for split, x in folder.scan(str(root)).items()}


def logged(root, caplog):
  """Returns the only line that two scans log."""
  notices.log_once.cache_clear()
  caplog.clear()
  with caplog.at_level(logging.INFO):
    folder.scan(str(root))
    folder.scan(str(root))
  line, = caplog.messages
  return line


def values(source):
  """Returns the first value of every image."""
  return source.load_into_memory().images[:, 0, 0, 0].tolist()
