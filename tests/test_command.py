"""Tests the console command: which binary runs, with which flags."""

import pathlib
import runpy

import pytest

from ssl_jax import command

# The modules of the package that `python -m` can run.
BINARIES = sorted(
    path.stem for path in pathlib.Path(command.__file__).parent.glob('*.py')
    if "if __name__ == '__main__':" in path.read_text())


def run(monkeypatch, *arguments):
  ran = []
  monkeypatch.setattr(runpy, 'run_module', lambda name, **how: ran.append(
      (name, how['run_name'], command.sys.argv[1:])))
  monkeypatch.setattr(command.sys, 'argv', ['ssl-jax', *arguments])
  command.main()
  return ran


@pytest.mark.parametrize('given, module', [
    ('pretrain', 'ssl_jax.pretrain'), ('linear-probe', 'ssl_jax.linear_probe'),
    ('make_report', 'ssl_jax.make_report')])
def test_a_command_is_a_binary_with_the_other_arguments(monkeypatch, given, module):
  assert run(monkeypatch, given, '--workdir=a', '--config.seed=1') == [
      (module, '__main__', ['--workdir=a', '--config.seed=1'])]


@pytest.mark.parametrize('arguments', [(), ('--help',)])
def test_help_lists_every_command(monkeypatch, capsys, arguments):
  assert run(monkeypatch, *arguments) == []
  shown = capsys.readouterr().out
  assert [line.split()[0] for line in shown.splitlines()
          if line.startswith('  ')] == list(command.COMMANDS)
  assert sorted(command.COMMANDS) == BINARIES
  assert 'embed         Writes the vector of every image' in shown


def test_an_unknown_command_is_one_sentence(monkeypatch, capsys):
  with pytest.raises(SystemExit) as e:
    run(monkeypatch, 'pretrian')
  assert e.value.code == 2
  error = capsys.readouterr().err
  assert error.startswith("error: 'pretrian' is not a command; accepted are pretrain, ")
  assert error.endswith("did you mean 'pretrain'?\n")
