"""Makes pictures with known content, as jobs/pictures.py writes them."""

import pathlib
from typing import Any

import numpy as np

from ssl_jax.report import pictures


def pictures_of(classes=('cat', 'dog', '<i>'), seed=0, **fields: Any
                ) -> pictures.Pictures:
  """Returns pictures of 12 test images of 4 x 4 pixels, of which one is a mistake.

  Args:
    classes: names of the classes.
    seed: seed of the maps; the images are always the same.
    **fields: fields to replace.
  """
  rng, same = np.random.default_rng(seed), np.random.default_rng(0)
  image = lambda *shape: same.integers(0, 256, (*shape, 4, 4, 3)).astype(np.uint8)
  labels = np.arange(12) % max(len(classes), 1) if classes else np.full(12, -1)
  votes = np.eye(len(classes))[labels] if classes else None
  if classes:
    votes[5] = np.eye(len(classes))[0]  # image 5 is of class 2
  pairs = {f'{who}/{when}': rng.uniform(-1, 1, 8) for who in ('same', 'other')
           for when in ('before', 'after')}
  quality = {f'{name}/{when}': np.float64(value) for when in ('before', 'after')
             for name, value in (('alignment', 0.5), ('uniformity', -2.0),
                                 ('effective_rank', 3.0))}
  made = dict(
      class_names=classes, indices=np.arange(12), labels=labels, images=image(12),
      maps={'pca/stage1': rng.normal(size=(12, 2)),
            'pca/pooled': rng.normal(size=(12, 2)),
            'tsne/pooled': rng.normal(size=(12, 2))},
      filters=rng.normal(size=(5, 3, 3, 3)), input=image(),
      feature_maps={'stage1': rng.normal(size=(4, 4, 4)),
                    'stage2': rng.normal(size=(4, 2, 2))},
      originals=image(2), views={'view 1': image(2), 'view 2': image(2)},
      boxes={'view 1': np.full((2, 4), 0.25), 'view 2': np.full((2, 4), 0.5)},
      similarities=pairs, spectra={'before': np.array([2., 1, 0.5]),
                                   'after': np.array([4., 2, 1])},
      quality=quality, votes=votes, queries=np.array([0, 1, 5]),
      own_queries=np.int64(1 if classes else 0), neighbours=image(3, 2),
      neighbour_labels=np.array([[0, 1], [1, 1], [0, 0]]),
      neighbour_similarities=np.full((3, 2), 0.9), bank=np.int64(40))
  return pictures.Pictures(**{**made, **fields})


def rotated(**fields: Any) -> pictures.Pictures:
  """Returns pictures with the four rotations of two images, all but one recognised."""
  probabilities = np.tile(np.eye(4), (2, 1, 1))
  probabilities[1, 3] = [0.7, 0.1, 0.1, 0.1]
  images = np.zeros((2, 4, 4, 4, 3), np.uint8)
  return pictures_of(rotated=images, rotations=np.arange(4),
                     rotation_probabilities=probabilities,
                     rotation_accuracy=np.array([0.5, 1, np.nan]), **fields)


def write(folder: pathlib.Path, **methods: pictures.Pictures) -> pathlib.Path:
  """Writes pictures of seed 0 of methods into the folder of a study."""
  for method, made in methods.items():
    place = folder / method / 'seed0' / 'pictures'
    place.mkdir(parents=True, exist_ok=True)
    pictures.save(place / pictures.FILE, made)
  return folder
