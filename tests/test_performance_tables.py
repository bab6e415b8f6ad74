"""Tests the alignment and the units of tables, and what they leave out."""

from ssl_jax.performance import tables

SPREAD = {'median': 2.0, 'min': 1.5, 'max': 4.0}
RESULT = {
    'hardware': '2 CPU cores', 'batch_size': 16, 'views_per_image': 2.0, 'repeats': 3,
    'compute_dtype': 'float32', 'feed': 'ResidentFeed', 'steps_per_dispatch': 1,
    'images_per_second': {'median': 12345.6, 'min': 1, 'max': 20000},
    'views_per_second': SPREAD, 'train_flops_per_image': 6e9, 'mfu': 0.125,
    'device': {'name': 'chip', 'flops_per_second': 1e12, 'bytes_per_second': 1e11},
    'roofline_fraction': 0.25, 'roofline_images_per_second': 40.0,
    'peak_memory_bytes': 3 * 2**30, 'peak_memory_source': 'compiler',
    'compile_seconds': 1.0, 'first_step_seconds': 5.0, 'step_seconds': SPREAD,
    'split_seconds': {'forward': {'median': 0.5, 'min': 0.25, 'max': 1.0},
                      'other': {'median': -0.002}}}


def line(table, name):
  found, = (x for x in table.splitlines() if x.strip().startswith(name))
  return found.split(None, len(name.split()))[-1]


def test_columns_are_as_wide_as_their_longest_cell():
  assert tables.aligned([('a', 'bc'), ('def', 'g')]) == 'a    bc\ndef  g'


def test_figures_have_their_units():
  table = tables.measured(RESULT)
  assert line(table, 'images/s') == '1.235e+04 [1, 2e+04]'
  assert line(table, 'model FLOPs').startswith('6 GFLOP per image')
  assert line(table, 'MFU') == '12.5% of 1 TFLOP/s (chip)'
  assert line(table, 'roofline') == '25.0% of 40 images/s (100 GB/s)'
  assert line(table, 'peak memory').startswith('3 GiB per device')


def test_parts_are_milliseconds_and_shares_of_the_step():
  table = tables.measured(RESULT)
  assert line(table, 'forward ').split() == ['500', '[250,', '1000]', '25%']
  assert line(table, 'other').split() == ['-2', '-0%']
  assert 'median of 3 samples' in table


def test_what_is_not_known_is_left_out():
  known = {k: v for k, v in RESULT.items() if k not in ('mfu', 'device')}
  table = tables.measured({**known, 'peak_memory_bytes': None})
  assert 'images/s' in table
  assert not any(x.startswith(('MFU', 'roofline', 'peak')) for x in table.splitlines())


COMPILED = {
    'topology': 'v5e:2x2', 'chips': 4, 'device': 'TPU v5e', 'batch_size': 16,
    'images_per_chip': 4, 'views_per_image': 2.0, 'compile_seconds': 1.0,
    'compiler': 'libtpu 0', 'memory_bytes': {
        **dict.fromkeys(('arguments', 'outputs', 'of them shared', 'temporary'), 512),
        'in all': 8 * 2**30, 'of the chip': 16 * 2**30},
    'resident_data_bytes': 2**20, 'flops': 1e9, 'bytes_accessed': 2**20,
    'compiler_seconds': 0.001, 'train_flops_per_image': 1e9,
    'compute_seconds': 0.002, 'communication_seconds': 0.001,
    'collectives': [{'op': 'all-reduce', 'count': 3, 'bytes': 2048, 'arrays': 'f'}],
    'weak_scaling': [{'chips': 8, 'compute_seconds': 0.002, 'efficiency': 0.5,
                      'communication_seconds': 0.001}]}


def test_a_program_that_does_not_fit_says_so():
  memory = {**COMPILED['memory_bytes'], 'in all': 17 * 2**30}
  assert 'DOES NOT FIT' in tables.compiled({**COMPILED, 'memory_bytes': memory})
  table = tables.compiled(COMPILED)
  assert 'DOES NOT FIT' not in table
  assert line(table, 'memory per chip') == '8 GiB of 16 GiB (50%)'
  assert line(table, 'all-reduce').split() == ['3', '2', 'KiB', 'f']
  assert line(table, '8 ').endswith('50.0%')
  assert 'kernel' not in table


def test_kernels_of_a_gpu():
  costs = {'kernels': 3, 'small_kernels': 1, 'bytes': 3 * 2**20, 'flops': 2e9,
           'seconds': 0.5}
  table = tables.compiled({**COMPILED, 'chips': 1, 'weak_scaling': [], 'kernels': {
      **costs, 'kernels': 4, 'launch_seconds': 1e-6, 'small_bytes': 2**16,
      'copies': {**costs, 'kernels': 2},
      'parts': [{**costs, 'part': 'optimizer'}],
      'convolutions': [{'kind': 'forward', 'dtypes': 'bf16', 'layouts': 'NHWC OHWI',
                        'count': 20}],
      'rearranged_activations': [{'part': 'loss', 'array': 'f32[8,8]', 'count': 6}]}})
  assert line(table, 'optimizer').split() == ['3', '1', '3', 'MiB', '2', '500', 'ms']
  assert line(table, 'all ').split() == ['4', '1', '3', 'MiB', '2', '500', 'ms']
  assert line(table, 'forward').split() == ['20', 'bf16', 'NHWC', 'OHWI']
  assert line(table, 'f32[8,8]').split() == ['6', 'loss']
  assert '1 us for its launch' in table and '2 kernels only copy' in table
  assert 'less than 64 KiB' in table
  assert 'all-reduce' not in table  # a single chip sends nothing
