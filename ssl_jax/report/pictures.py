"""Defines the file of pictures of one trained encoder, which jobs/pictures.py writes.

Everything in it that needs JAX was computed beforehand, so that a report only draws.
"""

import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

FILE = 'pictures.npz'


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pictures:
  """Holds pictures of one encoder and the numbers that belong to them.

  Images are uint8. n is the number of test images in the maps, K that of classes.

  Attributes:
    class_names: names of the K classes; empty without labels.
    indices: index of each test image in its split, int [n].
    labels: class of each test image, int [n]; -1 without a label.
    images: the test images, reduced to thumbnails [n, h, w, C].
    maps: '<kind>/<endpoint>', such as 'pca/pooled' -> positions [n, 2]. Endpoints are
      in the order of the network.
    filters: kernels of the first convolution [F, k, k, C]; None if there is none.
    input: the image of the feature maps [H, W, C].
    feature_maps: endpoint -> the maps of its filters with the largest variance [f, h,
      w], in the order of the network.
    originals: training images [m, H, W, C].
    views: 'view 1' and so on -> views of `originals` [m, h, w, C].
    boxes: the same keys -> the parts of the originals that the views show, as fractions
      top, left, height and width of the image [m, 4]; empty if they are not known.
    similarities: 'same/before', 'same/after', 'other/before', 'other/after' -> cosine
      similarities of two views of the same image or of different images, for a network
      with random weights and for the trained one [pairs]. The mean of all features is
      subtracted first.
    spectra: 'before', 'after' -> singular values of the centred features, descending.
    quality: 'alignment', 'uniformity' and 'effective_rank', each followed by '/before'
      or '/after' -> a number.
    votes: fraction of the weighted kNN vote for each class [n, K]; None without labels.
    queries: rows of `images` whose neighbours are shown, int [q].
    own_queries: number of `queries`, from the right, that are this encoder's most
      confident mistakes.
    neighbours: the training images nearest to each query [q, k, h, w, C].
    neighbour_labels: int [q, k].
    neighbour_similarities: cosine similarities [q, k].
    rotated: test images in each rotation [r, V, H, W, C]; None without rotations.
    rotations: the V rotations in counter-clockwise quarter turns.
    rotation_probabilities: predicted probabilities [r, V, V], by true rotation.
    rotation_accuracy: accuracy of rotations by class of the image [K]; NaN for a class
      without images.
    bank: number of training images that neighbours are searched in.
  """

  class_names: tuple[str, ...] = ()
  indices: np.ndarray
  labels: np.ndarray
  images: np.ndarray
  maps: Mapping[str, np.ndarray]
  filters: np.ndarray | None = None
  input: np.ndarray
  feature_maps: Mapping[str, np.ndarray]
  originals: np.ndarray
  views: Mapping[str, np.ndarray]
  boxes: Mapping[str, np.ndarray]
  similarities: Mapping[str, np.ndarray]
  spectra: Mapping[str, np.ndarray]
  quality: Mapping[str, np.ndarray]
  votes: np.ndarray | None = None
  queries: np.ndarray
  own_queries: np.ndarray
  neighbours: np.ndarray
  neighbour_labels: np.ndarray
  neighbour_similarities: np.ndarray
  rotated: np.ndarray | None = None
  rotations: np.ndarray | None = None
  rotation_probabilities: np.ndarray | None = None
  rotation_accuracy: np.ndarray | None = None
  bank: np.ndarray

  def name(self, label: int) -> str:
    """Returns the name of a class; '' for an image without a label."""
    return self.class_names[label] if 0 <= label < len(self.class_names) else ''

  @property
  def predictions(self) -> np.ndarray:
    """Returns the class with the most votes for each test image, int [n]."""
    return self.votes.argmax(1)

  def shows_the_same_images(self, other: 'Pictures') -> bool:
    """Returns whether the maps of both are of the same test images."""
    return (self.images.shape == other.images.shape
            and np.array_equal(self.indices, other.indices)
            and np.array_equal(self.images, other.images))


def save(path: str | os.PathLike, pictures: Pictures) -> None:
  """Writes pictures to an .npz file, which is replaced atomically.

  A mapping becomes one array for each of its keys, whose name is '<field>/<key>'.
  """
  arrays = {}
  for field in dataclasses.fields(pictures):
    value = getattr(pictures, field.name)
    if isinstance(value, Mapping):
      arrays |= {f'{field.name}/{key}': array for key, array in value.items()}
    elif field.name == 'class_names':
      arrays[field.name] = np.array(value, np.str_)
    elif value is not None:
      arrays[field.name] = value
  path = pathlib.Path(path)
  partial = path.with_name(path.name + '.partial')
  with partial.open('wb') as file:
    np.savez_compressed(file, **arrays)
  os.replace(partial, path)


def load(path: str | os.PathLike) -> Pictures | None:
  """Reads what `save` wrote; returns None if it does not exist or cannot be read."""
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile):
    return None
  fields = {f.name: {} for f in dataclasses.fields(Pictures)
            if getattr(f.type, '__origin__', None) is Mapping}
  for name, array in arrays.items():
    field, _, key = name.partition('/')
    if key:
      fields.setdefault(field, {})[key] = array
    else:
      fields[field] = array
  fields['class_names'] = tuple(fields.get('class_names', np.array([])).tolist())
  try:
    return Pictures(**fields)
  except TypeError:  # another version wrote it
    return None
