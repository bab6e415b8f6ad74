"""SimCLR hands its fields on to the objective, and pairs views of one image."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.objectives import contrastive, pairwise


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


@pytest.mark.parametrize('fields, loss', [
    ({'decoupled': True},
     lambda z: contrastive.nt_xent(z, 0.5, decoupled=True)),
    ({'objective': 'nt_logistic', 'temperature': 0.2, 'semi_hard': True},
     lambda z: pairwise.nt_logistic(z, 0.2, semi_hard=True)),
    ({'objective': 'margin_triplet', 'margin': 0.9, 'similarity': 'dot'},
     lambda z: pairwise.margin_triplet(z, 0.9, similarity='dot'))])
def test_other_objectives_get_their_fields(key, fields, loss):
  method = build(**fields)
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(key)
  views = method.views(key, {'image': images})
  found, output = jax.jit(method.loss)(variables.params, variables, views,
                                       np.full(4, -1))
  np.testing.assert_allclose(found, loss(output.endpoints['projection']), rtol=1e-5)
  assert 'contrastive_accuracy' in output.metrics


@pytest.mark.parametrize('fields, name', [
    ({'semi_hard': True}, 'semi_hard is True'),
    ({'objective': 'nt_logistic', 'decoupled': True}, 'decoupled is True'),
    ({'objective': 'margin_triplet', 'tiled': 'always'}, "tiled is 'always'"),
    ({'objective': 'nt_logistic', 'scale': 'google'}, "scale is 'google'")])
def test_fields_of_another_objective_are_refused(fields, name):
  with pytest.raises(errors.UserError, match=f'{name}.*--config.method.objective='):
    build(**fields)
