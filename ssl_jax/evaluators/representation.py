"""Measures how features use their space: alignment, uniformity, spectrum, neighbours.

All functions are of NumPy only.
"""

import numpy as np


def unit(features: np.ndarray) -> np.ndarray:
  """Returns the rows of `features` [N, D] at length 1; a row of zeros is not changed.
  """
  features = np.asarray(features, np.float64)
  return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def alignment(first: np.ndarray, second: np.ndarray) -> float:
  """Measures the distance of two views of an image: mean of |u - v|^2, in [0, 4].

  It is `l_align` with alpha = 2 of Wang & Isola 2020, arXiv:2005.10242, equation 2,
  of unit vectors. 0 means that both views of every image have equal features.

  Args:
    first: features of one view of every image [N, D].
    second: features of the other view [N, D].
  """
  return float(np.square(unit(first) - unit(second)).sum(1).mean())


def uniformity(features: np.ndarray) -> float:
  """Measures how evenly unit vectors cover the sphere, in [-8, 0].

  It is `l_uniform` with t = 2 of Wang & Isola 2020, arXiv:2005.10242, equation 3: the
  logarithm of the mean of exp(-2 |u - v|^2) over all pairs of different images. 0 means
  that all vectors are equal. Lower is more even.

  Args:
    features: [N, D] with N of at least 2.
  """
  vectors = unit(features)
  squares = 2 - 2 * np.clip(vectors @ vectors.T, -1, 1)
  pairs = np.triu_indices(len(vectors), 1)
  return float(np.log(np.exp(-2 * squares[pairs]).mean()))


def spectrum(features: np.ndarray) -> np.ndarray:
  """Returns the singular values of the centred features [N, D], descending.

  They are divided by sqrt(N), so that each is a standard deviation along a principal
  direction.
  """
  centred = np.asarray(features, np.float64) - np.mean(features, axis=0)
  # The eigenvalues of the smaller product are found faster than singular values.
  product = (centred.T @ centred if centred.shape[1] < len(centred) else
             centred @ centred.T)
  values = np.linalg.eigvalsh(product)[::-1] / len(centred)
  values[values < 1e-12 * max(values[0], 1e-300)] = 0  # rounding errors
  return np.sqrt(values)


def effective_rank(singular_values: np.ndarray) -> float:
  """Returns the number of directions that features effectively vary in, at least 1.

  It is exp(entropy) of the singular values divided by their sum (Roy & Vetterli 2007).
  It is k if k of them are equal and the others 0. It is 1 if all are 0.
  """
  total = np.sum(singular_values)
  if total <= 0:
    return 1.0
  p = singular_values[singular_values > 0] / total
  return float(np.exp(-(p * np.log(p)).sum()))


def nearest(bank: np.ndarray, queries: np.ndarray, k: int
            ) -> tuple[np.ndarray, np.ndarray]:
  """Finds the k rows of a bank with the highest cosine similarity to each query.

  Args:
    bank: features [N, D].
    queries: features [M, D].
    k: number of rows, at most N.

  Returns:
    Row numbers and cosine similarities, both [M, k], most similar first. Of equally
    similar rows, the earlier one comes first.
  """
  similarity = unit(queries) @ unit(bank).T
  rows = np.argsort(-similarity, axis=1, kind='stable')[:, :k]
  return rows, np.take_along_axis(similarity, rows, axis=1)
