"""Tests the hash of the code, and the origin that is written with a figure."""

import json

import jax

from ssl_jax.parallel import provenance


def package(folder, **files):
  """Writes a package with these files; returns the path of its provenance.py."""
  (folder / 'parallel').mkdir(parents=True)
  for name, text in {'parallel/provenance': '', **files}.items():
    (folder / f'{name}.py').write_text(text)
  return str(folder / 'parallel' / 'provenance.py')


def test_the_hash_follows_names_and_contents_of_the_whole_package(
    tmp_path, monkeypatch):
  def code(folder, **files):
    monkeypatch.setattr(provenance, '__file__', package(tmp_path / folder, **files))
    return provenance.versions()['code']

  first = code('a', config='x = 1')
  assert code('b', config='x = 1') == first  # wherever the package is
  others = {code('c', config='x = 2'), code('d', configs='x = 1'), code('e')}
  assert len(others | {first}) == 4
  (tmp_path / 'e' / 'notes.txt').write_text('not code')
  assert provenance.versions()['code'] in others


def test_versions_are_those_that_processes_compare():
  found = provenance.versions()
  assert found.keys() == {'code', 'jax'} and found['jax'] == jax.__version__
  assert len(found['code']) == 12 and int(found['code'], 16) >= 0


def test_a_figure_names_commit_hardware_and_jax():
  found = provenance.collect()
  assert json.loads(json.dumps(found)) == found
  assert found['commit'] and found['hardware'].endswith('CPU cores')
  assert found['jax'] == jax.__version__


def test_outside_of_a_checkout_the_commit_says_so(tmp_path, monkeypatch):
  monkeypatch.setattr(provenance, '__file__', package(tmp_path / 'installed'))
  monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path))
  assert provenance.collect()['commit'] == 'not a git checkout'
