"""Docstrings: every first line can be read alone, by somebody who reads nothing else.

A line that begins with one of these words is a fragment: it has no verb of its own, so
the reader has to guess what the function does with its object.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FRAGMENTS = {'Of', 'What', 'Which', 'Where', 'Whether', 'As', 'From', 'Who', 'How'}


def docstrings(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
      if text := ast.get_docstring(node):
        yield getattr(node, 'name', path.stem), text


@pytest.mark.parametrize('folder', ['ssl_jax', 'configs', 'benchmarks'])
def test_no_first_line_is_a_fragment(folder):
  lines = [f'{path.relative_to(ROOT)} {name}: {text.splitlines()[0]}'
           for path in sorted((ROOT / folder).rglob('*.py'))
           for name, text in docstrings(path)
           if text.split()[0].strip('.,:;`') in FRAGMENTS]
  assert not lines


def test_every_module_says_what_it_is():
  silent = [str(path.relative_to(ROOT)) for path in (ROOT / 'ssl_jax').rglob('*.py')
            if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))]
  assert not silent
