"""Reads a study's folder as it is: finished, in progress, or cut short.

What cannot be used is left out and named in `Study.notes`, so that a page never
hides that a number rests on fewer seeds than were asked for.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ssl_jax import errors
from ssl_jax.report import records

REHEARSAL = ('Rehearsal: a scaled-down run that checks the machinery. Its numbers '
             'say nothing about the methods.')


def study(workdir: str | pathlib.Path) -> records.Study:
  """Reads what `ssl_jax.study` has written under `workdir` so far.

  Raises:
    errors.UserError: `workdir` is not a study's folder, or its study.json
      cannot be read or lacks a field.
  """
  folder = pathlib.Path(workdir)
  head = _head(folder)
  notes: list[str] = []
  methods, evaluations = tuple(head['methods']), tuple(head['evaluations'])
  wanted = {e: tuple(m) for e, m in (head.get('wanted') or {}).items()}
  runs = tuple(
      _run(folder / method / f'seed{seed}', method, seed,
           [e for e in evaluations if method in wanted.get(e, methods)], notes)
      for method in methods for seed in head['seeds'])
  words = {field: head.get(field) or '' for field in (
      'description', 'data', 'command', 'commit', 'hardware', 'started')}
  read = records.Study(
      name=head['name'], title=head.get('title') or head['name'],
      rehearsal=_rehearsal(head.get('rehearsal')), config=head.get('config') or {},
      seeds=tuple(head['seeds']), methods=methods, evaluations=evaluations,
      wanted=wanted, subsets=_cells(head.get('subsets')),
      data_sets=_cells(head.get('data_sets')),
      heatmap=_heatmap(head.get('heatmap') or {}, methods),
      labels=head.get('labels') or {}, runs=runs, notes=(),
      published=tuple(records.Published(
          p['method'], p['evaluation'], p['value'], p['source'])
          for p in head.get('published') or ()), **words)
  return dataclasses.replace(read, notes=(*notes, *_out_of_place(read)))


def _cells(value: Mapping[str, Sequence[str]] | None) -> Mapping[str, tuple[str, str]]:
  """Evaluation -> group and column."""
  return {e: (group, column) for e, (group, column) in (value or {}).items()}


def _rehearsal(value: str | bool | None) -> str:
  """The sentence; studies of before there was one say only that they are one."""
  return REHEARSAL if value is True else value or ''


def _heatmap(value: Mapping[str, Any], methods: tuple[str, ...]) -> records.Heatmap:
  cells = value.get('cells') or {}
  return records.Heatmap(axes=tuple(value.get('axes') or ()),
                         columns=tuple(value.get('columns') or ()),
                         cells={m: tuple(cells[m]) for m in methods if m in cells})


def _out_of_place(study: records.Study) -> Iterator[str]:
  """Names the published figures that no number of the study stands beside."""
  for p in study.published:
    if p.method not in study.methods or not study.wants(p.method, p.evaluation):
      yield (f'The published {p.value:.2f} % ({p.source}) is for {p.method}, '
             f'{p.evaluation}, which this study does not run.')


def _head(folder: pathlib.Path) -> Mapping[str, Any]:
  """study.json, with the fields that nothing can be shown without."""
  if not folder.is_dir():
    raise errors.UserError(
        f'workdir is {str(folder)!r}, which is not a folder; give the one that '
        '`python -m ssl_jax.study` wrote')
  path = folder / 'study.json'
  if not path.is_file():
    raise errors.UserError(
        f'workdir is {str(folder)!r}, which holds no study.json; give the folder '
        'that `python -m ssl_jax.study` wrote')
  try:
    head = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise errors.UserError(f'{path} is not valid JSON ({error})') from error
  for field in ('name', 'methods', 'evaluations', 'seeds'):
    if not isinstance(head, Mapping) or field not in head:
      raise errors.UserError(f'{path} lacks the field {field!r}')
  return head


def _run(place: pathlib.Path, method: str, seed: int, evaluations: Sequence[str],
         notes: list[str]) -> records.Run:
  scores = {}
  for evaluation in evaluations:
    path = place / evaluation / 'result.json'
    try:
      scores[evaluation] = _scores(json.loads(path.read_text(encoding='utf-8')))
    except FileNotFoundError:
      pass
    except (ValueError, KeyError, TypeError, AttributeError):
      name = path.relative_to(place.parents[1])
      notes.append(f'{name} holds no finite test accuracy and is left out.')
  return records.Run(
      method=method, seed=seed, scores=scores,
      metrics=tuple(_lines(place / 'pretrain' / 'metrics.jsonl')),
      pretrain=_pretrain(place / 'pretrain' / 'result.json'))


def _scores(record: Mapping[str, Any]) -> records.Scores:
  """One evaluation's result.json. ValueError: no accuracy within [0, 1]."""
  result, test = record['result'], record['result']['test']
  score = result.get('score') or 'top1'
  for name in ('top1', score):
    if not (records.finite(test[name]) and 0 <= test[name] <= 1):
      raise ValueError(name)
  return records.Scores(
      top1=float(test['top1']), top5=test.get('top5'),
      mean_per_class=test.get('mean_per_class'),
      per_class=_array(test.get('per_class')),
      confusion=_array(test.get('confusion')),
      images=test.get('n') or 0,
      labelled=(result.get('train') or {}).get('n') or 0,
      protocol=str(result.get('protocol') or ''),
      chosen=result.get('chosen') or {},
      class_names=tuple(str(n) for n in result.get('class_names') or ()),
      seconds=result.get('seconds', record.get('seconds')),
      score=score,
      at_edge=tuple(result.get('at_edge') or ()))


def _array(values: Any) -> np.ndarray | None:
  return np.array(values, dtype=np.float64) if values else None


def _lines(path: pathlib.Path) -> Iterator[Mapping[str, Any]]:
  """Yields the objects of a JSONL file; a line that a kill cut is no object."""
  if not path.is_file():
    return
  for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
    try:
      value = json.loads(line)
    except ValueError:
      continue
    if isinstance(value, Mapping):
      yield value


def _pretrain(path: pathlib.Path) -> Mapping[str, Any]:
  """`{'config': ..., 'result': ...}`, or {} where pre-training is not done."""
  try:
    record = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError):
    return {}
  return record if isinstance(record, Mapping) else {}
