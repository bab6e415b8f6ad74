"""Tests `ssl_jax.load`: vectors and endpoints against NumPy, sizes, modes, mistakes."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import numpy_networks
import pytest
import stub_encoder
import tiny
from PIL import Image, ImageOps

import ssl_jax
from ssl_jax import api, errors
from ssl_jax.parallel import mesh as mesh_lib

ROOT = pathlib.Path(__file__).parent.parent
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
  with stub_encoder.registered():
    run = tiny.pretrained(
        tmp_path_factory.mktemp('runs') / 'a', model={'name': 'stub'},
        train={'epochs': 0}, augment={'recipe': 'crop_flip', 'mean': [0.5, 0.4, 0.3],
                                      'std': [0.2, 0.3, 0.4]})
    yield ssl_jax.load(run)


def by_hand(encoder, images):
  """Returns 'pooled' of the stub encoder in float64; fresh BatchNorm has (0, 1)."""
  x = (images / 255. - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
  kernel = np.asarray(encoder.trained.variables['params']['encoder']['conv']['kernel'],
                      np.float64)
  return numpy_networks.relu(
      numpy_networks.conv(x, kernel) / np.sqrt(1 + 1e-5)).mean((1, 2))


def test_import_does_not_import_jax():
  code = ('import sys, ssl_jax; assert "jax" not in sys.modules; '
          'assert callable(ssl_jax.load) and "jax" in sys.modules; '
          'assert not hasattr(ssl_jax, "lod")')
  subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT,
                 env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_encode_equals_numpy_and_can_be_jitted(encoder):
  want = by_hand(encoder, IMAGES)
  got = encoder.encode(IMAGES)
  assert {'stage1', 'pooled', 'projection'} <= got.keys()
  np.testing.assert_allclose(got['pooled'], want, atol=1e-5)
  jitted = jax.jit(lambda x: encoder.encode(x)['pooled'])(IMAGES)
  np.testing.assert_allclose(jitted, want, atol=1e-5)
  as_floats = encoder.encode(IMAGES.astype(np.float32) / 255)['pooled']
  np.testing.assert_allclose(as_floats, want, atol=1e-5)


def test_preprocess_is_the_normalisation_of_the_training(encoder):
  want = (IMAGES / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
  np.testing.assert_allclose(encoder.preprocess(IMAGES), want, atol=1e-5)
  assert encoder.config['method']['name'] == 'simclr'
  assert encoder.image_shape == (8, 8, 3)


def test_embed_keeps_the_order_over_several_batches(encoder):
  many = np.concatenate([IMAGES, IMAGES[::-1], IMAGES[2:4]])
  got = encoder.embed(many, batch_size=8)
  assert got.dtype == np.float32 and got.shape == (12, 6)
  np.testing.assert_allclose(got, by_hand(encoder, many), atol=1e-5)
  np.testing.assert_array_equal(encoder.embed(list(many), batch_size=8), got)
  assert encoder.embed(many, endpoint='stage1', pool='flatten').shape == (12, 8 * 8 * 6)


def test_files_of_any_size_and_mode_are_brought_to_the_size_of_the_training(
    encoder, tmp_path):
  colour = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), np.uint8))
  clear = colour.convert('RGBA')
  clear.putalpha(0)  # transparent, so it looks white
  made = {'colour': colour, 'gray': colour.convert('L'), 'clear': clear,
          'small': Image.fromarray(IMAGES[0])}
  for name, image in made.items():
    image.save(tmp_path / f'{name}.png')
  fit = lambda image: np.asarray(ImageOps.fit(
      image.convert('RGB'), (8, 8), Image.Resampling.BICUBIC))
  want = by_hand(encoder, np.stack([
      fit(colour), fit(made['gray']), np.full((8, 8, 3), 255), IMAGES[0]]))
  got = encoder.embed([tmp_path / f'{name}.png' for name in made])
  np.testing.assert_allclose(got, want, atol=1e-5)
  as_arrays = encoder.embed([np.asarray(image) for image in made.values()])
  np.testing.assert_array_equal(as_arrays, got)
  mixed = encoder.embed([str(tmp_path / 'small.png'), IMAGES[1]])
  np.testing.assert_allclose(mixed, by_hand(encoder, IMAGES[:2]), atol=1e-5)


def test_one_error_names_all_images_that_do_not_decode(encoder, tmp_path):
  Image.fromarray(IMAGES[0]).save(tmp_path / 'good.png')
  (tmp_path / 'empty.png').touch()
  (tmp_path / 'text.png').write_text('no image')
  files = [tmp_path / f'{name}.png' for name in ('good', 'empty', 'text', 'gone')]
  with pytest.raises(errors.UserError) as e:
    encoder.embed(files)
  message = str(e.value)
  assert message.startswith('3 of 4 images cannot be used: ')
  assert 'empty.png is empty' in message and 'text.png is not an image' in message
  assert 'gone.png cannot be read: No such file' in message and 'good' not in message


@pytest.mark.parametrize('images, words', [
    ('photos', 'give a list of paths'), ([], 'is an empty list'),
    (IMAGES[0], r'shape \(8, 8, 3\)'), ([3], 'of type int'),
    (IMAGES / 255, 'dtype float64'), (IMAGES.repeat(2, -1), 'image 0 has shape')])
def test_wrong_images_are_one_sentence(encoder, images, words):
  with pytest.raises(errors.UserError, match=words):
    encoder.embed(images)


@pytest.mark.parametrize('images, words', [
    (IMAGES[0], 'accepts'), (IMAGES[..., :1], r'accepts \[B, H, W, 3\]'),
    (IMAGES.astype(np.int32), 'dtype int32')])
def test_encode_refuses_other_arrays(encoder, images, words):
  with pytest.raises(errors.UserError, match=words):
    encoder.encode(images)


def test_unknown_endpoints_and_runs_are_one_sentence(encoder, tmp_path):
  with pytest.raises(errors.UserError, match="did you mean 'pooled'"):
    encoder.embed(IMAGES, endpoint='poled')
  with pytest.raises(errors.UserError, match='batch_size is 0'):
    encoder.embed(IMAGES, batch_size=0)
  with pytest.raises(errors.UserError, match='holds no checkpoint'):
    ssl_jax.load(tmp_path)


def test_pretrain_trains_and_returns_the_encoder(tmp_path):
  for i in range(20):
    Image.fromarray(RNG.integers(0, 256, (12, 9, 3), np.uint8)).save(
        tmp_path / f'{i}.png')
  call = lambda: ssl_jax.pretrain(
      f'folder:{tmp_path}', tmp_path / 'run', model='stub', epochs=1, image_size=8,
      overrides={'log': {'tensorboard': False}})
  with stub_encoder.registered():
    encoder = call()
    assert encoder.image_shape == (8, 8, 3) and encoder.trained.step == 2
    assert encoder.config['train']['epochs'] == 1
    again = call()  # It is finished, so that nothing is trained.
  np.testing.assert_array_equal(again.embed(IMAGES), encoder.embed(IMAGES))
  with pytest.raises(errors.UserError, match="method is 'simclt'.*'simclr'"):
    ssl_jax.pretrain('digits', tmp_path / 'b', method='simclt')


def test_a_batch_is_shared_by_the_devices_and_few_images_are_hardly_padded():
  one, eight = (mesh_lib.data_mesh(jax.devices()[:n]) for n in (1, 8))
  assert [api.batch_for(n, 256, one) for n in (1, 2, 3, 9, 300)] == [1, 2, 4, 16, 256]
  assert [api.batch_for(n, 20, eight) for n in (1, 9, 300)] == [8, 16, 24]
