"""Tests the binary make_report as a user runs it."""

import subprocess
import sys

import fake_study
import pytest


def make_report(*flags: str) -> subprocess.CompletedProcess:
  return subprocess.run([sys.executable, '-m', 'ssl_jax.make_report', *flags],
                        capture_output=True, text=True)


def test_prints_the_table_and_where_the_page_is(tmp_path):
  done = make_report(f'--workdir={fake_study.write(tmp_path)}')
  assert done.returncode == 0, done.stderr
  assert '92.00 ± 2.65 (3)' in done.stdout
  page = done.stdout.strip().splitlines()[-1].removeprefix('Report: ')
  assert page == str(tmp_path / 'report' / 'index.html')
  assert (tmp_path / 'report' / 'index.html').is_file()


@pytest.mark.parametrize('flags, says', [
    ((), '--workdir is missing'),
    (('--workdir=/nowhere/at/all',), "'/nowhere/at/all', which is not a folder")])
def test_a_users_mistake_is_one_sentence(flags, says):
  done = make_report(*flags)
  assert done.returncode == 2
  assert done.stderr.startswith('error: ') and says in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
