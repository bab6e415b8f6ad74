"""Maps features to two dimensions, for pictures."""

import importlib.util

import numpy as np

_COMPONENTS = 50   # principal components that t-SNE receives, which removes noise
_PERPLEXITY = 30.  # of van der Maaten & Hinton 2008, section 4
# t-SNE divides the perplexity of small sets by as much as their size needs.
_NEIGHBOURS_OF_PERPLEXITY = 3


def pca(features: np.ndarray, components: int = 2) -> np.ndarray:
  """Projects features onto their first principal directions.

  The sign of a direction is chosen such that its entry of largest size is positive.

  Args:
    features: [N, D].
    components: number of directions.

  Returns:
    float32 [N, components]; columns are 0 beyond the rank of the features.
  """
  centred = np.asarray(features, np.float64) - np.mean(features, axis=0)
  # The eigenvectors of a [D, D] matrix are found faster than singular vectors.
  values, vectors = np.linalg.eigh(centred.T @ centred)
  kept = min(components, *centred.shape)
  directions = vectors.T[::-1][:kept]
  largest = np.abs(directions).argmax(1)
  signs = np.sign(directions[np.arange(kept), largest])
  out = np.zeros((len(centred), components), np.float32)
  out[:, :kept] = centred @ (directions * signs[:, None]).T
  out[:, :kept] *= values[::-1][:kept] > 1e-12 * max(values[-1], 1e-300)
  return out


def tsne(features: np.ndarray, seed: int = 0) -> np.ndarray:
  """Maps features by t-SNE, initialised by PCA.

  The implementation is openTSNE, which interpolates (FIt-SNE, Linderman et al. 2019)
  for large sets and is exact to Barnes-Hut for small ones. Distances are cosine
  distances of the first principal components.

  Args:
    features: [N, D] with N of at least 4.
    seed: seed of the approximate search for neighbours.

  Returns:
    float32 [N, 2].
  """
  import openTSNE  # an extra, which takes a second to import
  reduced = pca(features, min(_COMPONENTS, *np.shape(features)))
  perplexity = min(_PERPLEXITY, (len(reduced) - 1) / _NEIGHBOURS_OF_PERPLEXITY)
  made = openTSNE.TSNE(perplexity=perplexity, metric='cosine', initialization='pca',
                       random_state=seed, n_jobs=1).fit(reduced)
  return np.asarray(made, np.float32)


def has_tsne() -> bool:
  """Returns whether openTSNE, an extra of the package, is installed."""
  return importlib.util.find_spec('openTSNE') is not None
