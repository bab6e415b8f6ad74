"""The README: its Python runs as it stands, and its files are there."""

import pathlib
import re

import numpy as np
import stub_encoder
import tiny
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / 'README.md').read_text()


def test_the_snippet_embeds_images(tmp_path, monkeypatch):
  code, = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'photos').mkdir()
  for i in range(3):
    Image.new('RGB', (12, 9), (80 * i, 0, 0)).save(tmp_path / 'photos' / f'{i}.jpg')
  with stub_encoder.registered():
    tiny.pretrained(tmp_path / 'runs' / 'simclr', model={'name': 'stub'},
                    train={'epochs': 0})
    names = {}
    exec(code, names)
  features = np.asarray(names['features'])
  assert features.shape[0] == 3 and np.isfinite(features).all()
  assert not np.allclose(features[0], features[2])


def test_files_that_are_named_exist():
  named = set(re.findall(r'\]\(([\w/.]+?)(?:#[\w-]+)?\)', TEXT))
  named |= set(re.findall(r'(?:bash |--config=)((?:launch|configs)/[\w/]+\.\w+)', TEXT))
  assert len(named) > 10
  assert not [name for name in named if not (ROOT / name).exists()]
