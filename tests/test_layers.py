"""Imports point one way, and a few libraries have one place each."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / 'ssl_jax'
# A module may import from its own folder and from those above; docs/architecture.md.
LAYERS = (
    ('errors', 'fields', 'config', 'plain_config', 'config_file', 'usage', 'jsonl',
     'durations', 'renamed', 'own_log'),
    ('parallel',),
    ('data', 'augment', 'models', 'objectives', 'compression', 'weights'),
    ('methods',),
    ('train', 'evaluators'),
    ('report',),
    ('jobs',),
    ('studies', 'performance'),
    ('cli', 'api', 'command'),
    ('pretrain', 'finetune', 'linear_probe', 'evaluate', 'study', 'make_report',
     'prepare_data', 'benchmark', 'compress', 'embed', 'export', 'pictures'),
)
BINARIES = LAYERS[-1]
PACKAGE_ITSELF = 1  # the layer of ssl_jax/__init__.py
ONLY_IN = {  # what may import it
    'orbax': ('train.checkpoint', 'train.retention'),
    'tensorflow_datasets': ('data.tfds_source', 'data.prepare'),
    'grain': ('data.streamed',),
    'array_record': ('data.tfds_source', 'data.prepare'),
    'tensorboardX': ('train.metrics',),
    'qwix': ('compression.quantization',),
    'matplotlib': ('report',),
    'jinja2': ('report',),
    'safetensors': ('weights.tensor_file',),
    'torch': ('weights.torch_file',),
    'pyarrow': ('data.parquet', 'evaluators.vectors'),
    'jax2onnx': ('weights.as_onnx',),
    'onnx': ('weights.as_onnx',),
    'openTSNE': ('evaluators.maps',),
}
NOWHERE = ('tensorflow', 'torchvision', 'clu.metric_writers',
           'clu.periodic_actions')


def modules():
  for path in sorted(PACKAGE.rglob('*.py')):
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
    yield name, ast.parse(path.read_text(), str(path))


def imports(tree):
  """Dotted names of all that a module imports, `from a import b` as a.b."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, 'relative import'
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def layer(name):
  """The deepest entry of LAYERS that `name` belongs to."""
  found = [i for i, entries in enumerate(LAYERS)
           if any(name == e or name.startswith(e + '.') for e in entries)]
  return found[0] if found else None


def below(name, entries):
  return any(name == e or name.startswith(e + '.') for e in entries)


def test_every_module_has_a_layer():
  homeless = [name for name, _ in modules() if name and layer(name) is None]
  assert not homeless


def test_imports_point_one_way():
  uphill = []
  for name, tree in modules():
    for target in imports(tree):
      inner = target.removeprefix('ssl_jax.')
      if inner != target and layer(inner) is not None:
        if layer(inner) > (layer(name) if name else PACKAGE_ITSELF):
          uphill.append(f'{name} imports {inner}')
  assert not uphill


def test_libraries_with_one_place():
  misplaced = [f'{name} imports {target}' for name, tree in modules()
               for target in imports(tree)
               for library, homes in ONLY_IN.items()
               if below(target, (library,)) and not below(name, homes)]
  assert not misplaced


def test_no_tensorflow_and_no_torchvision():
  found = [f'{name} imports {target}' for name, tree in modules()
           for target in imports(tree) if below(target, NOWHERE)]
  assert not found


def test_binaries_are_short_and_none_imports_another():
  for name, tree in modules():
    if name in BINARIES:
      binaries = [f'ssl_jax.{b}' for b in BINARIES]
      others = [t for t in imports(tree) if below(t, binaries)]
      assert not others, f'{name} imports {others}'
      lines = (PACKAGE / f'{name}.py').read_text().count('\n')
      assert lines < 60, f'{name} has {lines} lines'


def test_only_binaries_read_flags():
  readers = [name for name, tree in modules() for target in imports(tree)
             if below(target, ('absl.flags',))]
  assert set(readers) <= {*BINARIES, 'cli', 'usage'}


def test_only_processes_joins_the_cluster():
  users = [name for name, tree in modules() for node in ast.walk(tree)
           if isinstance(node, ast.Attribute) and node.attr == 'distributed']
  assert set(users) <= {'parallel.processes'}


def test_reports_do_not_need_jax():
  for name, tree in modules():
    if below(name, ('report', 'make_report')):
      assert not [t for t in imports(tree)
                  if below(t, ('jax', 'flax', 'optax', 'ssl_jax.train'))], name


def test_configs_import_only_ml_collections_and_each_other():
  for path in (ROOT / 'configs').rglob('*.py'):
    for target in imports(ast.parse(path.read_text())):
      assert below(target, ('ml_collections', 'configs')), f'{path} imports {target}'


def test_no_drawers():
  drawers = {'utils', 'common', 'misc', 'helpers'}
  assert not [name for name, _ in modules() if name.split('.')[-1] in drawers]
