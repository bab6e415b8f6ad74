"""SimCLR hands its fields on to the objective, and pairs views of one image."""

import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods


def build(**fields):
  config = {**tiny.config('simclr'), 'model': {'name': 'stub'}}
  with stub_encoder.registered():
    return methods.build({**config, 'method': {'name': 'simclr', **fields}}, 0)


def nt_xent(z, temperature, similarity):
  """Rows 2i and 2i + 1 are one image's; Chen et al. 2020, equation 1, row by row."""
  if similarity == 'cosine':
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
  scores = np.exp(z @ z.T / temperature)
  np.fill_diagonal(scores, 0)
  partner = np.arange(len(z)) ^ 1
  return -np.log(scores[np.arange(len(z)), partner] / scores.sum(1)).mean()


@pytest.mark.parametrize('tiled', ['never', 'always'])
@pytest.mark.parametrize('fields, factor', [
    ({'temperature': 0.2}, 1), ({'temperature': 1.5, 'similarity': 'dot'}, 1),
    ({'temperature': 0.7, 'scale': 'google'}, 2)])
def test_loss_is_nt_xent_of_its_projections(key, tiled, fields, factor):
  method = build(**fields, tiled=tiled)
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  variables = method.init(key, (8, 8, 3))
  views = method.views(key, {'image': images})
  loss, aux = method.loss(variables.params, variables, views, np.full(8, -1))
  z = np.asarray(aux.endpoints['projection'], np.float64)
  expected = factor * nt_xent(z, fields['temperature'],
                              fields.get('similarity', 'cosine'))
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
