"""Tests patterns of files against the expansion by bash, and their errors."""

import subprocess

import pytest

from ssl_jax import errors
from ssl_jax.data import patterns


@pytest.mark.parametrize('pattern', [
    'a-{0008..0011}.tar', '{train,test}-{0..2}.tar', 'plain.tar', '{a,b{1..2}}.tar',
    'a{b}.tar'])
def test_expansion_equals_bash(pattern):
  shown = subprocess.run(['bash', '-c', f'echo {pattern}'], capture_output=True,
                         text=True, check=True).stdout.split()
  assert sorted(patterns.expand(pattern)) == sorted(shown)


def test_files_of_ranges_wildcards_and_folders(tmp_path):
  for name in ('a-0.tar', 'a-1.tar', 'b/c.tar', 'note.txt'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  found = lambda pattern: [path.removeprefix(f'{tmp_path}/') for path in
                           patterns.files(f'{tmp_path}{pattern}', '.tar', 'tar:')]
  assert found('/a-{0..1}.tar') == ['a-0.tar', 'a-1.tar']
  assert found('/a-*.tar') == ['a-0.tar', 'a-1.tar']
  assert found('') == ['a-0.tar', 'a-1.tar', 'b/c.tar']
  with pytest.raises(errors.UserError, match=r'a-2.tar matches no file; give the path'):
    found('/a-{0..2}.tar')
  with pytest.raises(errors.UserError, match=r'note.txt, which does not end in .tar'):
    found('/*.*')
