"""Reads the folder of a single run, such as a pre-training, as a study of one run."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from ssl_jax import errors, jsonl
from ssl_jax.report import results
from ssl_jax.report.study import HeatmapLayout, MethodRun, Study

_FILES = ('config.json', 'metrics.jsonl')


def study(folder: pathlib.Path) -> Study:
  """Reads a run, and the evaluations of its encoder in the folders below it.

  The evaluations are the folders with a result.json, such as `evaluations/linear` and
  `probe`, and the run itself if it is a probe or a fine-tuning.

  Args:
    folder: the --workdir of the run, which has config.json.

  Raises:
    errors.UserError: config.json cannot be read.
  """
  config = _json(folder / 'config.json')
  if config is None:
    raise errors.UserError(
        f'{folder / "config.json"} is not valid JSON; run the command that made this '
        'folder again, which writes the file')
  record = _json(folder / 'result.json') or {}
  facts = record.get('result') or {}
  method = (config.get('method') or {}).get('name') or folder.name
  data, seed = config.get('data') or {}, config.get('seed') or 0
  found, notes = _evaluations(folder)
  run = MethodRun(method=method, seed=seed, metrics=tuple(jsonl.read(
      folder / 'metrics.jsonl')), pretrain=record, results=found, folder='.',
                  files=tuple(f for f in _FILES if (folder / f).is_file()))
  return Study(
      name=folder.name, title=f'Run {folder.resolve().name}',
      description='A single run: no comparison, and no spread over seeds.',
      data=str(data.get('name') or ''), command='', started='',
      commit=str(facts.get('commit') or ''), hardware=str(facts.get('hardware') or ''),
      rehearsal='', config=config, seeds=(seed,), methods=(method,),
      evaluations=tuple(found), requested={}, label_subsets={}, data_sets={},
      heatmap=HeatmapLayout(), display_names={}, published=(), runs=(run,),
      notes=tuple(notes))


def _evaluations(folder: pathlib.Path
                 ) -> tuple[dict[str, results.EvaluationResult], list[str]]:
  """Returns the results by name, and a sentence for each that cannot be used."""
  found, notes = {}, []
  for path in sorted((*folder.glob('result.json'), *folder.glob('*/result.json'),
                      *folder.glob('evaluations/*/result.json'))):
    record = _json(path)
    is_run = path.parent == folder
    if is_run and 'test' not in ((record or {}).get('result') or {}):
      continue  # A pre-training has no accuracy.
    name = path.parent.resolve().name
    try:
      found[name] = results.evaluation_result(record)
    except (KeyError, TypeError, ValueError, AttributeError):
      notes.append(f'{path.relative_to(folder)} holds no finite test accuracy and is '
                   'left out.')
  return found, notes


def _json(path: pathlib.Path) -> Mapping[str, Any] | None:
  """Returns the object in a JSON file, or None if there is none."""
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError):
    return None
  return value if isinstance(value, Mapping) else None
