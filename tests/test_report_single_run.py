"""Tests the report of a single run against the files that the run wrote."""

import json

import fake_study
import pytest

from ssl_jax import errors, report
from ssl_jax.report import page, read, sections
from ssl_jax.report.sections import files


@pytest.fixture
def run(tmp_path):
  """Writes a pre-training, two evaluations of it, a probe and a torn result."""
  folder = tmp_path / 'mine'
  fake_study.pretrain(folder, 'simclr', 3)
  for name, top1 in (('evaluations/knn', 0.8), ('evaluations/linear', 0.9),
                     ('probe', 0.7)):
    fake_study.write_json(folder / name / 'result.json',
                          fake_study.evaluation_result(top1))
  fake_study.write_json(folder / 'ft' / 'result.json', {'result': {'test': {}}})
  return folder


def test_a_run_is_a_study_of_one_seed(run):
  study = read.study(run)
  assert study.methods == ('simclr',) and study.seeds == (3,)
  assert study.evaluations == ('knn', 'linear', 'probe')
  assert [study.accuracy('simclr', e).tolist() for e in study.evaluations] == [
      [0.8], [0.9], [0.7]]
  assert study.runs[0].curve('train/loss')[:, 1].tolist() == [7, 6, 5, 4]
  assert study.config == json.loads((run / 'config.json').read_text())
  assert study.notes == (
      'ft/result.json holds no finite test accuracy and is left out.',)


def test_the_texts_have_the_numbers_and_link_the_files(run):
  study = read.study(run)
  text = page.markdown(study, sections.content(study))
  assert text.startswith('# Run mine') and '90.00' in text
  cells = files.table(study).rows[0]
  assert [cell.link for cell in cells if cell.link] == [
      '.././', '.././config.json', '.././metrics.jsonl']
  assert '90.00' in report.summary(run)


def test_a_run_without_evaluations_and_a_probe_alone(tmp_path):
  fake_study.pretrain(tmp_path / 'a', 'byol', 0)
  (tmp_path / 'a' / 'result.json').unlink()
  assert read.study(tmp_path / 'a').evaluations == ()
  assert 'Incomplete' not in report.summary(tmp_path / 'a')
  fake_study.write_json(tmp_path / 'b' / 'config.json', {'seed': 1})
  fake_study.write_json(tmp_path / 'b' / 'result.json',
                        fake_study.evaluation_result(0.6))
  assert read.study(tmp_path / 'b').accuracy('b', 'b').tolist() == [0.6]


def test_a_torn_config_is_one_sentence(run):
  (run / 'config.json').write_text('{')
  with pytest.raises(errors.UserError, match='config.json is not valid JSON; run the'):
    read.study(run)
