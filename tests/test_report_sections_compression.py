"""Tests the comparison of compressed networks by hand: table, lines and sentences."""

import json
import math

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import compression


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.compressed(tmp_path))


def test_table_by_hand(study):
  table = compression.table(study)
  assert table.header == ('Network', 'zeros', 'bytes', 'times fewer', '100 %')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['small, bits', '0.00', '100', '4.0', '90.00 ± 0.00 (2)'],
      ['small, half', '50.00', '50', '8.0', '80.00 ± 0.00 (2)'],
      ['small, 90 %', '90.00', '10', '40.0', '30.00 ± 0.00 (2)'],
      ['wide, bits', '0.00', '400', '4.0', '94.00 ± 0.00 (2)'],
      ['wide, half', '50.00', '200', '8.0', '90.00 ± 0.00 (2)'],
      ['wide, 90 %', '90.00', '40', '40.0', '60.00 ± 0.00 (2)'],
      ['wide, random', '90.00', '40', '40.0', '20.00 ± 0.00 (2)'],
      ['small tenth, 90 %', '90.00', '10', '40.0', '52.00 ± 2.83 (2)'],
      ['wide tenth, 90 %', '90.00', '40', '40.0', '80.00 ± 0.00 (2)']]


def test_lines_join_the_sparsities_of_a_network_and_a_protocol(study):
  found = {line.name(study): [(p.bytes, p.accuracy) for p in line.points]
           for line in compression.lines(study)}
  expected = {
      'Small, pruned while fine-tuning': [(10, 30), (50, 80), (100, 90)],
      'Small, pruned on the pretext task': [(10, 52), (100, 90)],
      'Wide, pruned while fine-tuning': [(40, 60), (200, 90), (400, 94)],
      'Wide, pruned on the pretext task': [(40, 80), (400, 94)],
      'Wide, random masks': [(40, 20)]}
  assert found.keys() == expected.keys()
  for name, points in expected.items():
    np.testing.assert_allclose(found[name], points)


def test_a_network_that_is_only_quantized_is_a_line_of_its_own(tmp_path):
  study = read.study(fake_study.compressed(tmp_path, methods=['small'],
                                           evaluations=['bits_all']))
  (line,) = compression.lines(study)
  assert line.name(study) == 'Small, not pruned' and not compression.findings(study)[
      'Compression']


def test_figure_draws_the_lines_over_the_logarithm_of_the_bytes(study):
  (figure,) = compression.figures(study)
  (ax,) = figure.draw(theme.LIGHT).axes
  assert ax.get_xscale() == 'log' and ax.get_title(loc='left') == '100 % of the labels'
  drawn = {c.get_label(): c.lines[0] for c in ax.containers}
  line = drawn['Wide, pruned while fine-tuning']
  np.testing.assert_allclose(line.get_xydata(), [[40, 60], [200, 90], [400, 94]])
  assert line.get_color() == theme.LIGHT.color(1)
  assert 'Wide, random masks: 40 to 40 bytes' in figure.alt


def test_panels_have_the_order_of_the_label_subsets(tmp_path):
  """The file with 1 % of the labels has more bytes than that with all labels."""
  study = read.study(fake_study.compressed(tmp_path, subsets={
      'bits_all': ['bits', '1pct'], 'half_all': ['half', '100pct']},
      evaluations=['bits_all', 'half_all']))
  (figure,) = compression.figures(study)
  assert [ax.get_title(loc='left') for ax in figure.draw(theme.LIGHT).axes] == [
      '1 % of the labels', '100 % of the labels']
  assert compression.table(study).header[4:] == ('1 %', '100 %')


def test_sentences_by_hand(study):
  """At 40 bytes, the small network is between its files of 10 and 50 bytes."""
  weight = math.log(40 / 10) / math.log(50 / 10)
  tuning = 60 - (30 + weight * (80 - 30))
  weight = math.log(40 / 10) / math.log(100 / 10)
  pretext = 80 - (52 + weight * (90 - 52))
  assert tuning < 0 < pretext
  where = 'with 100 % of the labels'
  equal = '; {} of {} differences exceed their 95 % margin.'
  found = compression.findings(study)['Compression']
  between = '; the latter interpolated between its files): with 100 % of the labels '
  assert sorted(found) == sorted([
      'At equal sparsity, pruned on the pretext task minus pruned while fine-tuning in '
      f'points (Small): {where} +22.0 at 90 %' + equal.format(0, 1),
      'At equal sparsity, pruned on the pretext task minus pruned while fine-tuning in '
      f'points (Wide): {where} +20.0 at 90 %' + equal.format(1, 1),
      'At equal sparsity, pruned while fine-tuning minus random masks in points '
      f'(Wide): {where} +40.0 at 90 %' + equal.format(1, 1),
      'At equal sparsity, Wide minus Small in points (pruned while fine-tuning): '
      f'{where} +10.0 at 50 %, +30.0 at 90 %' + equal.format(2, 2),
      'At equal sparsity, Wide minus Small in points (pruned on the pretext task): '
      f'{where} +28.0 at 90 %' + equal.format(1, 1),
      f'At equal bytes, Wide minus Small in points (pruned while fine-tuning{between}'
      f'−{-tuning:.1f} at 40.0 B.',
      f'At equal bytes, Wide minus Small in points (pruned on the pretext task{between}'
      f'{pretext:+.1f} at 40.0 B.'])


def test_a_study_without_compression_has_no_section(tmp_path):
  content = compression.content(read.study(fake_study.by_labels(tmp_path)))
  assert not content.figures and not content.findings['Compression']


def test_distillation_is_a_protocol_of_its_own(tmp_path):
  path = fake_study.compressed(tmp_path) / 'study.json'
  description = json.loads(path.read_text())
  description['config']['methods']['small_tenth']['compression']['distillation'] = 1.
  fake_study.write_json(path, description)
  names = [line.name(read.study(tmp_path)) for line in compression.lines(
      read.study(tmp_path))]
  assert 'Small, pruned on the pretext task with distillation' in names
  assert 'Small, pruned on the pretext task' not in names
  assert 'Wide, pruned on the pretext task' in names
