"""docs/own_images.md followed to the letter, on a tiny folder of small images."""

import csv
import json
import os
import pathlib
import re

import forked
import numpy as np
import pytest
from PIL import Image

PAGE = forked.ROOT / 'docs' / 'own_images.md'
BLOCK = re.compile(r'```(python|bash)\n(.*?)```', re.DOTALL)
# What makes the training short: text of the page -> its replacement.
SMALL = {"model='resnet18'": "model='resnet8'", 'epochs=200': 'epochs=0.3',
         'image_size=96': 'image_size=16'}


def write_photos(folder):
  """Writes 24 photos, half of them with a label; the last one does not decode."""
  rng, rows = np.random.default_rng(0), [('path', 'label')]
  for i in range(24):
    path = folder / f'{2020 + i % 3}' / 'may' / f'{i:02}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = 80 * (i % 2) + rng.integers(0, 160, (20, 18, 3), np.uint8)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    rows.append((str(path.relative_to(folder)),
                 ('cat', 'dog')[i % 2] if i < 12 else ''))
  path.write_text('no image')
  with (folder / 'labels.csv').open('w', newline='') as f:
    csv.writer(f).writerows(rows)


@pytest.fixture(scope='module')
def followed(tmp_path_factory):
  """Runs all code of the page; returns the folder and the outputs of the commands."""
  folder = tmp_path_factory.mktemp('page')
  write_photos(folder / 'photos')
  blocks = BLOCK.findall(PAGE.read_text())
  (code,) = (text for language, text in blocks if language == 'python')
  for text, short in SMALL.items():
    assert text in code
    code = code.replace(text, short)
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    exec(code, {})
  commands = [line.split() for language, text in blocks if language == 'bash'
              for line in text.splitlines()]
  assert all(words[:2] == ['python', '-m'] for words in commands)
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(forked.ROOT)}
  outputs = forked.run(environment, tmp_path_factory.mktemp('out'), [
      (module.removeprefix('ssl_jax.'), flags)
      for _, _, module, *flags in commands], cwd=folder)
  for (status, _, err), words in zip(outputs, commands, strict=True):
    assert status == 0, (words, err[-2000:])
  return folder, outputs


def test_every_photo_has_a_vector_or_is_named(followed):
  folder, outputs = followed
  vectors = np.load(folder / 'vectors.npz')
  assert len(vectors['features']) == 23
  assert vectors['bad_images'].tolist() == ['2022/may/23.png']
  for name in ('near_duplicates', 'outliers'):
    assert f'vectors_{name}.csv: ' in outputs[0][1]
    assert (folder / f'vectors_{name}.csv').is_file()


def test_probes_use_the_labelled_photos_alone(followed):
  folder, outputs = followed
  for name in ('linear', 'knn'):
    path = folder / 'runs/photos/evaluations' / name / 'result.json'
    result = json.loads(path.read_text())['result']
    assert result['class_names'] == ['cat', 'dog']
    sizes = {split: result[split]['n'] for split in ('train', 'validation', 'test')}
    assert sizes == {'train': 8, 'validation': 2, 'test': 2}
  assert 'images have no label, so classifiers leave them out' in outputs[1][2]


def test_the_report_shows_both_probes(followed):
  folder, outputs = followed
  page = pathlib.Path(outputs[-1][1].strip().splitlines()[-1].removeprefix('Report: '))
  text = (folder / page).read_text()
  assert 'Linear probe' in text and 'kNN' in text and 'Run photos' in text
