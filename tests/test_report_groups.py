"""Tests rows and sentences of evaluations that come in groups."""

import fake_study
import pytest

from ssl_jax.report import groups, read


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.by_labels(tmp_path))


def test_columns_are_in_the_order_of_the_evaluations(study):
  assert groups.columns(study, study.label_subsets) == ('1pct', '100pct')


def test_rows_have_only_requested_evaluations(study):
  rows = groups.rows(study, study.label_subsets)
  assert [(row.name, row.method, row.group, dict(row.entries)) for row in rows] == [
      ('SimCLR, Fine-tuning', 'simclr', 'finetune', {
          '1pct': ('simclr', 'finetune_1pct'),
          '100pct': ('simclr', 'finetune_100pct')}),
      ('SimCLR, Linear', 'simclr', 'linear_set', {'1pct': ('simclr', 'linear_1pct')}),
      ('RotNet, unfrozen', 'rotnet', 'finetune', {
          '1pct': ('rotnet', 'finetune_1pct'),
          '100pct': ('rotnet', 'finetune_100pct')})]


def test_differences_from_published_figures(tmp_path):
  folder = fake_study.by_labels(tmp_path)
  (folder / 'simclr/seed1/finetune_100pct/result.json').unlink()
  study = read.study(folder)
  assert groups.versus_published(study, study.label_subsets) == [
      'SimCLR, Fine-tuning minus the published figures, in points: −0.4 (1 %), '
      '−0.1 (100 %) (paper A; 1 to 2 seeds here).']


def test_a_rehearsal_is_not_compared(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path, rehearsal='Only a rehearsal.'))
  assert groups.versus_published(study, study.label_subsets) == []


def test_number_of_seeds_in_words():
  assert (groups.count(1), groups.count(2)) == ('1 seed', '2 seeds')
