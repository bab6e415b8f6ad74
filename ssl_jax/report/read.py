"""Reads the folder of a study that is finished, in progress, or cut short.

Files that cannot be used are left out and named in `Study.notes`, so that a page never
hides that a number rests on fewer seeds than were requested.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssl_jax import errors, jsonl
from ssl_jax.report import pictures, single_run
from ssl_jax.report.results import evaluation_result
from ssl_jax.report.study import (
    CONFIG,
    METRICS,
    Groups,
    HeatmapLayout,
    MethodRun,
    Published,
    Study,
)

REHEARSAL = ('Rehearsal: a scaled-down run that checks that everything works. Its '
             'numbers say nothing about the methods.')


def study(workdir: str | pathlib.Path) -> Study:
  """Reads the files that `ssl_jax.study`, or a single run, has written so far.

  Args:
    workdir: the folder of the study or of the run.

  Raises:
    errors.UserError: `workdir` is no such folder, or its study.json cannot be read or
      lacks a field.
  """
  folder = pathlib.Path(workdir)
  if (folder / 'config.json').is_file() and not (folder / 'study.json').is_file():
    return single_run.study(folder)
  head = _head(folder)
  notes: list[str] = []
  methods, evaluations = tuple(head['methods']), tuple(head['evaluations'])
  requested = {e: tuple(m) for e, m in (head.get('wanted') or {}).items()}
  runs = tuple(
      _run(folder, method, seed,
           [e for e in evaluations if method in requested.get(e, methods)], notes)
      for method in methods for seed in head['seeds'])
  texts = {field: head.get(field) or '' for field in (
      'description', 'data', 'command', 'commit', 'hardware', 'started')}
  read = Study(
      name=head['name'], title=head.get('title') or head['name'],
      rehearsal=_rehearsal(head.get('rehearsal')), config=head.get('config') or {},
      seeds=tuple(head['seeds']), methods=methods, evaluations=evaluations,
      requested=requested, label_subsets=_groups(head.get('subsets')),
      data_sets=_groups(head.get('data_sets')),
      heatmap=_heatmap(head.get('heatmap') or {}, methods),
      display_names=head.get('labels') or {}, runs=runs, notes=(),
      published=tuple(Published(p['method'], p['evaluation'], p['value'], p['source'])
                      for p in head.get('published') or ()), **texts)
  return dataclasses.replace(read, notes=(*notes, *_unused_published(read)))


def _groups(value: Mapping[str, Sequence[str]] | None) -> Groups:
  return {e: (group, column) for e, (group, column) in (value or {}).items()}


def _rehearsal(value: str | bool | None) -> str:
  """Returns the warning; early versions wrote only True for a rehearsal."""
  return REHEARSAL if value is True else value or ''


def _heatmap(value: Mapping[str, Any], methods: tuple[str, ...]) -> HeatmapLayout:
  cells = value.get('cells') or {}
  return HeatmapLayout(axes=tuple(value.get('axes') or ()),
                       columns=tuple(value.get('columns') or ()),
                       cells={m: tuple(cells[m]) for m in methods if m in cells})


def _unused_published(study: Study) -> Iterator[str]:
  """Yields a sentence for each published figure that belongs to no table."""
  for p in study.published:
    if p.method not in study.methods or not study.requests(p.method, p.evaluation):
      yield (f'The published {p.value:.2f} % ({p.source}) is for {p.method}, '
             f'{p.evaluation}, which this study does not run.')


def _head(folder: pathlib.Path) -> Mapping[str, Any]:
  """Reads study.json; raises `errors.UserError` if a field is missing."""
  if not folder.is_dir():
    raise errors.UserError(
        f'workdir is {str(folder)!r}, which is not a folder; give the --workdir of '
        '`python -m ssl_jax.study` or of a run')
  path = folder / 'study.json'
  if not path.is_file():
    raise errors.UserError(
        f'workdir is {str(folder)!r}, which has neither study.json nor config.json; '
        'give the --workdir of `python -m ssl_jax.study` or of a run')
  try:
    head = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise errors.UserError(
        f'{path} is not valid JSON ({error}); run `python -m ssl_jax.study` with this '
        'workdir again, which writes the file and skips finished stages') from error
  for field in ('name', 'methods', 'evaluations', 'seeds'):
    if not isinstance(head, Mapping) or field not in head:
      raise errors.UserError(
          f'{path} lacks the field {field!r}; run `python -m ssl_jax.study` with this '
          'workdir again, which writes the file and skips finished stages')
  return head


def _run(workdir: pathlib.Path, method: str, seed: int, evaluations: Sequence[str],
         notes: list[str]) -> MethodRun:
  """Reads one run; appends a sentence to `notes` for each result it cannot use."""
  name = f'{method}/seed{seed}'
  folder = workdir / name
  results = {}
  for evaluation in evaluations:
    path = folder / evaluation / 'result.json'
    try:
      results[evaluation] = evaluation_result(
          json.loads(path.read_text(encoding='utf-8')))
    except FileNotFoundError:
      pass
    except (ValueError, KeyError, TypeError, AttributeError):
      notes.append(f'{name}/{evaluation}/result.json holds no finite test accuracy and '
                   'is left out.')
  return MethodRun(
      method=method, seed=seed, results=results, folder=name,
      files=tuple(f for f in (CONFIG, METRICS) if (folder / f).is_file()),
      metrics=tuple(jsonl.read(folder / METRICS)),
      pretrain=_pretrain(folder / 'pretrain' / 'result.json'),
      pictures=pictures.load(folder / 'pictures' / pictures.FILE))


def _pretrain(path: pathlib.Path) -> Mapping[str, Any]:
  """Returns `{'config': ..., 'result': ...}`; {} until pre-training is done."""
  try:
    record = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, ValueError):
    return {}
  return record if isinstance(record, Mapping) else {}
