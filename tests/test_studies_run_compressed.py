"""Tests studies in which a method compresses the encoder of another one."""

import json

import pytest
import stub_encoder
from tiny_study import compressed

from ssl_jax import errors, report
from ssl_jax.jobs import compress, evaluate, pretrain
from ssl_jax.studies import run
from ssl_jax.train import encoder as encoder_lib


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
  monkeypatch.setattr(report.theme, 'render', lambda *args: b'')  # most of the time


def saved(workdir, stage):
  return json.loads((workdir / stage / 'result.json').read_text())


def test_the_encoder_of_the_other_method_is_compressed(tmp_path, monkeypatch):
  run.run(compressed(), tmp_path / 'a')
  small = saved(tmp_path / 'a', 'small/seed0/pretrain')
  assert small['config']['encoder'] == encoder_lib.identify(
      tmp_path / 'a/simclr/seed0/pretrain')
  assert small['config']['seed'] == 0 and small['result']['steps'] == 5
  assert saved(tmp_path / 'a', 'small/seed0/knn')['result']['test']['n'] == 20
  # A checkpoint in place of the other method gives the same file.
  fields = compressed()
  fields['methods']['simclr'] = {
      'checkpoint': str(tmp_path / 'a/simclr/seed{seed}/pretrain')}
  run.run(fields, tmp_path / 'b')
  one, other = ((tmp_path / w / 'small/seed0/pretrain/network.packed').read_bytes()
                for w in 'ab')
  assert one == other
  # What is finished is not done again.
  monkeypatch.setattr(compress, 'run', None)
  run.run(compressed(), tmp_path / 'a')


def test_a_method_whose_source_failed_is_neither_compressed_nor_evaluated(
    tmp_path, monkeypatch):
  def fails(*args, **kwargs):
    raise errors.UserError('the loss is nan')

  monkeypatch.setattr(pretrain, 'run', fails)
  for module in (compress, evaluate):
    monkeypatch.setattr(module, 'run', None)
  with pytest.raises(errors.UserError, match='^1 stage failed: simclr, seed 0: pre'):
    run.run(compressed(), tmp_path)
