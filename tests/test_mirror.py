"""Tests that every module has a test file, and that tests use public names only."""

import ast
import pathlib
import re

TESTS = pathlib.Path(__file__).parent
PACKAGE = TESTS.parent / 'ssl_jax'
# Modules without a test file of their own: the file that covers them, and why.
COVERED_BY = {
    'pretrain': 'test_binaries',      # binaries: flags and one call
    'finetune': 'test_binaries',
    'linear_probe': 'test_binaries',
    'evaluate': 'test_binaries',
    'study': 'test_binaries',
    'benchmark': 'test_binaries',
    'compress': 'test_binaries',
    'embed': 'test_binaries',
    'export': 'test_binaries',
    'pictures': 'test_binaries',
}
# Test files that are not named after a module of ssl_jax, and what they test.
OTHERS = {
    'test_benchmarks': 'the commands and the harness in benchmarks/',
    'test_benchmarks_torch': 'the PyTorch programs in benchmarks/peers/',
    'test_binaries': 'whole runs of the binaries, from flags to files',
    'test_configs': 'configs/',
    'test_docs_adding_a_method': 'the example in docs/adding_a_method.md',
    'test_docs_first_steps': 'docs/first_steps.ipynb',
    'test_docs_own_images': 'docs/own_images.md',
    'test_english': 'docstrings of all modules',
    'test_golden_steps': 'losses of three steps of every method, written down',
    'test_imagenet': 'runs on folders that look like ImageNet',
    'test_launch_environment': 'launch/',
    'test_layers': 'imports of all modules',
    'test_local_cluster': 'launch/local_cluster.sh',
    'test_mirror': 'this file',
    'test_multiprocess': 'whole runs of several processes',
    'test_packaging': 'setup.py',
    'test_readme': 'README.md',
}
# One aspect of a module whose tests would be longer than 300 lines in one file.
ASPECTS = {
    'test_data_folder_links': 'data.folder',
    'test_data_images_exif': 'data.images',
    'test_studies_run_compressed': 'studies.run',
    'test_train_checkpoint_6d4c1cd': 'train.checkpoint',
    'test_train_step_gpu': 'train.step',
    'test_train_step_hlo': 'train.step',
    'test_weights_torchvision_torch': 'weights.torchvision',
}
DOCUMENTED = {'_asdict', '_exit', '_fields', '_replace'}  # public in spite of the name


def modules():
  """Yields the names of modules with code; a package has the name of its folder."""
  for path in sorted(PACKAGE.rglob('*.py')):
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    if parts[-1] == '__init__':
      parts = parts[:-1]
    if parts and any(not isinstance(node, ast.Expr)
                     for node in ast.parse(path.read_text()).body):
      yield '.'.join(parts)


def mirror(module):
  return 'test_' + module.replace('.', '_')


def files():
  return {path.stem for path in TESTS.glob('test_*.py')}


def test_every_module_has_a_test_file():
  missing = [name for name in modules()
             if mirror(name) not in files() and name not in COVERED_BY]
  assert not missing


def test_every_test_file_is_named_after_a_module():
  known = {mirror(name) for name in modules()} | OTHERS.keys() | ASPECTS.keys()
  assert not files() - known


def test_the_tables_name_what_exists():
  assert set(COVERED_BY.values()) | OTHERS.keys() | ASPECTS.keys() <= files()
  assert COVERED_BY.keys() | set(ASPECTS.values()) <= set(modules())
  assert not [name for name in COVERED_BY if mirror(name) in files()]
  assert not [name for name in ASPECTS.values() if mirror(name) not in files()]


def test_test_files_are_short():
  long = {path.name: lines for path in TESTS.glob('*.py')
          if (lines := path.read_text().count('\n')) > 300}
  assert not long


def private(tree):
  """Yields private names that are used as attributes of anything but self."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute):
      if not (isinstance(node.value, ast.Name) and node.value.id == 'self'):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
      yield from (alias.name for alias in node.names)
    elif (isinstance(node, ast.Call) and len(node.args) > 1
          and isinstance(node.func, ast.Attribute) and 'attr' in node.func.attr
          and isinstance(node.args[1], ast.Constant)):
      yield node.args[1].value  # monkeypatch.setattr(module, '_name', ...)


def test_no_test_uses_private_names():
  found = {f'{path.name}: {name}' for path in TESTS.glob('*.py')
           for name in private(ast.parse(path.read_text()))
           if re.match(r'_[A-Za-z]', str(name)) and name not in DOCUMENTED}
  assert not found
