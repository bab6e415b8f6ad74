"""Tests that launch/ finds the newest Python that runs and explains errors."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

LAUNCH = pathlib.Path(__file__).parent.parent / 'launch'


def write_python(path: pathlib.Path, version: str | None) -> None:
  """Writes a script that acts as Python `version`; if it is None, the script fails."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('#!/bin/sh\nexit 127\n' if version is None else
                  f'#!/bin/sh\ncase "$2" in *print*) echo {version};; esac\n')
  path.chmod(0o755)


def list_pythons(folder: pathlib.Path) -> list[str]:
  """Returns the Pythons that are found if PATH and pyenv have only `folder`."""
  programs = folder / 'bin'
  programs.mkdir(exist_ok=True)
  (programs / 'sort').symlink_to(shutil.which('sort'))
  done = subprocess.run(
      [shutil.which('bash'), '-euo', 'pipefail', '-c',
       f'source {LAUNCH}/pythons.sh; list_pythons'],
      env={'PATH': str(programs), 'PYENV_ROOT': str(folder / 'pyenv')},
      capture_output=True, text=True, check=True)
  return done.stdout.replace(f'{folder}/', '').splitlines()


def test_a_shim_that_does_not_run_is_passed_over(tmp_path):
  write_python(tmp_path / 'bin/python3.13', None)
  write_python(tmp_path / 'bin/python3.11', '3.11')
  write_python(tmp_path / 'bin/python3', '3.11')
  for version in ('3.10.1', '3.12.9', '3.12.10', '3.13.0'):
    write_python(tmp_path / f'pyenv/versions/{version}/bin/python', version[:4])
  assert list_pythons(tmp_path) == [
      '3.13 pyenv/versions/3.13.0/bin/python', '3.12 pyenv/versions/3.12.10/bin/python',
      '3.11 bin/python3.11']


def test_path_comes_before_pyenv_and_named_versions_before_python3(tmp_path):
  write_python(tmp_path / 'bin/python3.12', '3.12')
  write_python(tmp_path / 'pyenv/versions/3.12.1/bin/python', '3.12')
  write_python(tmp_path / 'bin/python3', '3.14')
  assert list_pythons(tmp_path) == ['3.12 bin/python3.12', '3.14 bin/python3']


def test_no_python_is_an_empty_list(tmp_path):
  assert list_pythons(tmp_path) == []


def source_environment(**variables: str) -> subprocess.CompletedProcess:
  environment = {name: value for name, value in os.environ.items()
                 if name not in ('VIRTUAL_ENV', 'PYTHON', 'VENV')}
  return subprocess.run(
      ['bash', '-c', f'source {LAUNCH}/environment.sh ""; command -v python'],
      env=environment | variables, capture_output=True, text=True)


def make_environment(folder: pathlib.Path) -> pathlib.Path:
  """Makes an environment that counts as installed."""
  subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
  (folder / '.ssl_jax-run').touch()
  return folder


@pytest.mark.parametrize('variable', ['VENV', 'VIRTUAL_ENV'])
def test_a_whole_environment_is_used(tmp_path, variable):
  folder = make_environment(tmp_path / 'an environment')
  done = source_environment(**{variable: str(folder)})
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [f'{folder}/bin/python']


@pytest.mark.parametrize('variable, remedy', [
    ('VENV', 'rm -r'), ('VIRTUAL_ENV', 'deactivate')])
def test_a_broken_environment_is_an_error(tmp_path, variable, remedy):
  (tmp_path / 'bin').mkdir()
  (tmp_path / 'bin/python').symlink_to(tmp_path / 'gone')
  done = source_environment(**{variable: str(tmp_path)})
  assert done.returncode == 2
  assert 'is broken: its Python does not run' in done.stderr and remedy in done.stderr


def test_an_environment_of_another_python_is_an_error(tmp_path):
  folder = make_environment(tmp_path / 'made')
  write_python(tmp_path / 'other', '3.99')
  done = source_environment(VENV=str(folder), PYTHON=str(tmp_path / 'other'))
  assert done.returncode == 2
  assert f'PYTHON={tmp_path}/other is 3.99; delete it (rm -r' in done.stderr


def test_an_old_environment_is_an_error(tmp_path):
  path = tmp_path / 'bin/python'
  path.parent.mkdir()
  path.write_text('#!/bin/sh\ncase "$2" in *print*) echo 3.10;; *) exit 1;; esac\n')
  path.chmod(0o755)
  done = source_environment(VENV=str(tmp_path))
  assert done.returncode == 2
  assert 'has Python 3.10, and ssl_jax needs 3.11 or newer' in done.stderr


@pytest.mark.parametrize('given', ['/no/such/python', 'false'])
def test_a_python_that_cannot_serve_is_an_error(tmp_path, given):
  done = source_environment(VENV=str(tmp_path / 'new'), PYTHON=given)
  assert done.returncode == 2
  assert f'error: PYTHON is {given}, which is no Python >= 3.11' in done.stderr
  assert not (tmp_path / 'new').exists()
