"""docs/adding_a_method.md followed to the letter, in a copy of the package."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / 'docs' / 'adding_a_method.md'
# A file, its name before the block; or a block without a name.
BLOCK = re.compile(r'(?:File\s+`([^`]+)`:\s+)?```(python|bash)\n(.*?)```', re.DOTALL)


def follow(folder):
  """Writes what the page says to; returns the commands."""
  shutil.copytree(ROOT / 'ssl_jax', folder / 'ssl_jax',
                  ignore=shutil.ignore_patterns('__pycache__'))
  shutil.copytree(ROOT / 'configs', folder / 'configs')
  (folder / 'tests').mkdir()
  shutil.copy(ROOT / 'tests/tiny.py', folder / 'tests')
  commands = []
  for name, language, text in BLOCK.findall(PAGE.read_text()):
    if language == 'bash':
      commands += text.replace('\\\n', ' ').splitlines()
    elif name:
      path = folder / name
      assert not path.exists(), f'{name} is there already'
      path.parent.mkdir(exist_ok=True)
      path.write_text(text)
    else:
      registry = folder / 'ssl_jax/methods/__init__.py'
      registry.write_text(registry.read_text() + '\n' + text)
  return commands


def test_the_page_followed_to_the_letter(tmp_path):
  commands = follow(tmp_path)
  assert [c.split()[2] for c in commands] == ['ssl_jax.pretrain', 'ssl_jax.evaluate']
  small = ['--config.train.epochs=0.2']  # four steps
  for command, flags in zip(commands, (small, []), strict=True):
    done = subprocess.run([sys.executable, *command.split()[1:], *flags], cwd=tmp_path,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
  assert (tmp_path / 'runs/mine/result.json').exists()
  assert (tmp_path / 'runs/mine/knn/result.json').exists()
  done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
                         'tests'], cwd=tmp_path, text=True, capture_output=True)
  assert '3 passed' in done.stdout, done.stdout + done.stderr


def test_every_file_and_name_of_the_page_is_there():
  text = PAGE.read_text()
  for name in re.findall(r'`((?:ssl_jax|tests|configs)/[\w/]+\.py)`', text):
    assert (ROOT / name).exists() or 'my_' in name, name
  for test, name in re.findall(r'`(test_\w+)` in `(tests/\w+\.py)`', text):
    assert f'def {test}(' in (ROOT / name).read_text()
