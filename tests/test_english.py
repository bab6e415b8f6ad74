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


def functions(node, of=''):
  """Yields public functions, each with the name of its class or ''."""
  for child in ast.iter_child_nodes(node):
    if isinstance(child, ast.ClassDef):
      yield from functions(child, child.name)
    elif isinstance(child, ast.FunctionDef) and not child.name.startswith('_'):
      yield child, of


def takes(function):
  """Returns the number of parameters that a caller writes."""
  args = function.args
  return len([a for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)
              if a.arg not in ('self', 'cls')])


def test_three_parameters_or_more_are_explained():
  """A method may leave that to the class whose method it implements."""
  found = [(path, function, of) for folder in ('ssl_jax', 'benchmarks')
           for path in sorted((ROOT / folder).rglob('*.py'))
           for function, of in functions(ast.parse(path.read_text()))]
  explains = lambda function: 'Args:' in (ast.get_docstring(function) or '')
  interfaces = {function.name for _, function, of in found if of and explains(function)}
  assert not [f'{path.relative_to(ROOT)} {of} {function.name}'
              for path, function, of in found if takes(function) >= 3
              and not explains(function) and not (of and function.name in interfaces)]
