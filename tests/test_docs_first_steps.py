"""docs/first_steps.ipynb: its cells run, and print what the notebook shows."""

import contextlib
import io
import json
import pathlib
import re

import pytest

NOTEBOOK = pathlib.Path(__file__).parent.parent / 'docs' / 'first_steps.ipynb'


@pytest.fixture(scope='module')
def cells():
  notebook = json.loads(NOTEBOOK.read_text())
  assert (notebook['nbformat'], notebook['nbformat_minor']) == (4, 5)
  return notebook['cells']


def lasting(text):
  """Returns a text without lines of progress, scores and the nearest digits."""
  lines = [line for line in text.splitlines()
           if not line.startswith(('pretrain  ', 'Encoded '))]
  return [re.sub(r'[\d.]+%|-> .*', '#', line) for line in lines]


def test_the_cells_print_what_is_shown(cells, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  names, short = {}, 0
  for cell in cells:
    if cell['cell_type'] == 'code':
      code = ''.join(cell['source'])
      short += 'epochs=20,' in code
      shown = io.StringIO()
      with contextlib.redirect_stdout(shown):
        exec(code.replace('epochs=20,', 'epochs=1,'), names)
      want = ''.join(line for output in cell['outputs'] for line in output['text'])
      assert lasting(shown.getvalue()) == lasting(want), code
  assert short == 1
  assert (tmp_path / 'runs/digits/result.json').is_file()


def test_outputs_are_small_and_links_exist(cells):
  assert NOTEBOOK.stat().st_size < 20_000
  text = ''.join(line for cell in cells for line in cell['source'])
  for link in re.findall(r'\]\(([\w/.]+)\)', text):
    assert (NOTEBOOK.parent / link).exists(), link
  counts = [cell['execution_count'] for cell in cells if cell['cell_type'] == 'code']
  assert counts == [*range(1, len(counts) + 1)]
