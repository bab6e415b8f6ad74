"""Reads a study's folder as it is: finished, in progress, or cut short.

What cannot be used is left out and named in `Study.notes`, so that a page never
hides that a number rests on fewer seeds than were asked for.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ssl_jax import errors

_EVALUATION_LABELS = {
    'linear': 'Linear probe', 'knn': 'kNN', 'logistic': 'Logistic regression',
    'mlp': 'MLP probe', 'conv_block': 'Conv-block probe',
    'finetune': 'Fine-tuning'}


@dataclasses.dataclass(frozen=True)
class Published:
  """A figure that someone else reports, in percent, and where it stands."""

  method: str
  evaluation: str
  value: float
  source: str


@dataclasses.dataclass(frozen=True)
class Scores:
  """One evaluation of one seed on the test split. Accuracies are fractions.

  per_class: float [K] or None. confusion: counts [K, K], true class by
  predicted class, or None. images: size of the test split, 0 if unknown.
  """

  top1: float
  top5: float | None
  mean_per_class: float | None
  per_class: np.ndarray | None
  confusion: np.ndarray | None
  images: int
  protocol: str
  chosen: Mapping[str, Any]
  class_names: tuple[str, ...]
  seconds: float | None


@dataclasses.dataclass(frozen=True)
class Run:
  """What is there of one method and one seed.

  metrics: the lines logged during pre-training, in the order written.
  pretrain: `{'config': ..., 'result': ...}`, empty until pre-training is done.
  """

  method: str
  seed: int
  metrics: tuple[Mapping[str, Any], ...]
  pretrain: Mapping[str, Any]
  scores: Mapping[str, Scores]

  def curve(self, name: str) -> np.ndarray:
    """Returns metric `name` over pre-training as [points, 2]: epoch, value.

    The last line of a step wins: a run that was killed repeats the steps since
    its checkpoint. Values that are not finite are left out.
    """
    points = {line['step']: (line['epoch'], line[name]) for line in self.metrics
              if {'step', 'epoch', name} <= line.keys()
              and _finite(line['epoch']) and _finite(line[name])}
    ordered = [points[step] for step in sorted(points)]
    return np.array(ordered, dtype=np.float64).reshape(-1, 2)


@dataclasses.dataclass(frozen=True)
class Study:
  """A study's description and all its runs, methods in the order it gives."""

  name: str
  title: str
  description: str
  data: str
  command: str
  commit: str
  hardware: str
  started: str
  rehearsal: bool
  config: Mapping[str, Any]
  seeds: tuple[int, ...]
  methods: tuple[str, ...]
  evaluations: tuple[str, ...]
  labels: Mapping[str, str]
  published: tuple[Published, ...]
  runs: tuple[Run, ...]
  notes: tuple[str, ...]

  def label(self, name: str) -> str:
    """The name to print for a method or an evaluation."""
    default = _EVALUATION_LABELS.get(name, name.replace('_', ' '))
    return self.labels.get(name, default)

  def of(self, method: str) -> list[Run]:
    """The runs of one method, by seed."""
    return [run for run in self.runs if run.method == method]

  def scores(self, method: str, evaluation: str) -> list[Scores]:
    """What is there of one evaluation of one method, by seed."""
    return [run.scores[evaluation] for run in self.of(method)
            if evaluation in run.scores]

  def top1(self, method: str, evaluation: str) -> np.ndarray:
    """Test accuracies of the seeds that are there, fractions [n]."""
    return np.array([s.top1 for s in self.scores(method, evaluation)])

  def per_class(self, method: str, evaluation: str) -> np.ndarray:
    """Accuracies of each class, fractions [n, K]; [0, 0] where not recorded.

    A class that the test split holds no image of is NaN.
    """
    found = [s.per_class for s in self.scores(method, evaluation)
             if s.per_class is not None]
    return np.stack(found) if found else np.zeros((0, 0))

  def images_per_second(self, method: str) -> np.ndarray:
    """Throughput of each seed [n]: as summed up, else the median of its log."""
    found = []
    for run in self.of(method):
      logged = [line['images_per_second'] for line in run.metrics
                if _finite(line.get('images_per_second'))]
      total = (run.pretrain.get('result') or {}).get('images_per_second')
      if _finite(total) or logged:
        found.append(total if _finite(total) else np.median(logged))
    return np.array(found)

  def by_class(self) -> str | None:
    """The first evaluation that records accuracies of each class."""
    return next((e for e in self.evaluations for m in self.methods
                 if self.per_class(m, e).size), None)

  def class_names(self, classes: int) -> tuple[str, ...]:
    """Names of `classes` classes: as recorded, else their numbers."""
    for run in self.runs:
      for scores in run.scores.values():
        if len(scores.class_names) == classes:
          return scores.class_names
    return tuple(str(i) for i in range(classes))

  def missing(self) -> dict[str, list[str]]:
    """Evaluations that were asked for and are not there, by method and seed."""
    lacking = {f'{self.label(run.method)}, seed {run.seed}': [
        self.label(e) for e in self.evaluations if e not in run.scores]
        for run in self.runs}
    return {run: names for run, names in lacking.items() if names}


def study(workdir: str | pathlib.Path) -> Study:
  """Reads what `ssl_jax.study` has written under `workdir` so far.

  Raises:
    errors.UserError: `workdir` is not a study's folder, or its study.json
      cannot be read or lacks a field.
  """
  folder = pathlib.Path(workdir)
  head = _head(folder)
  notes: list[str] = []
  methods, evaluations = tuple(head['methods']), tuple(head['evaluations'])
  runs = tuple(_run(folder, method, seed, evaluations, notes)
               for method in methods for seed in head['seeds'])
  published = tuple(Published(p['method'], p['evaluation'], p['value'], p['source'])
                    for p in head.get('published', ()))
  for p in published:
    if p.method not in methods or p.evaluation not in evaluations:
      notes.append(f'The published {p.value:.2f} % ({p.source}) is for {p.method}, '
                   f'{p.evaluation}, which this study does not run.')
  words = {field: head.get(field) or '' for field in (
      'description', 'data', 'command', 'commit', 'hardware', 'started')}
  return Study(
      name=head['name'], title=head.get('title') or head['name'],
      rehearsal=bool(head.get('rehearsal')), config=head.get('config') or {},
      seeds=tuple(head['seeds']), methods=methods, evaluations=evaluations,
      labels=head.get('labels') or {}, published=published, runs=runs,
      notes=tuple(notes), **words)


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


def _run(folder: pathlib.Path, method: str, seed: int,
         evaluations: tuple[str, ...], notes: list[str]) -> Run:
  place = folder / method / f'seed{seed}'
  scores = {}
  for evaluation in evaluations:
    path = place / evaluation / 'result.json'
    try:
      scores[evaluation] = _scores(json.loads(path.read_text(encoding='utf-8')))
    except FileNotFoundError:
      pass
    except (ValueError, KeyError, TypeError, AttributeError):
      notes.append(f'{path.relative_to(folder)} holds no finite test accuracy '
                   'and is left out.')
  return Run(method=method, seed=seed, scores=scores,
             metrics=tuple(_lines(place / 'pretrain' / 'metrics.jsonl')),
             pretrain=_pretrain(place / 'pretrain' / 'result.json'))


def _scores(record: Mapping[str, Any]) -> Scores:
  """One evaluation's result.json. ValueError: no accuracy within [0, 1]."""
  result, test = record['result'], record['result']['test']
  if not (_finite(test['top1']) and 0 <= test['top1'] <= 1):
    raise ValueError('top1')
  return Scores(
      top1=float(test['top1']), top5=test.get('top5'),
      mean_per_class=test.get('mean_per_class'),
      per_class=_array(test.get('per_class')),
      confusion=_array(test.get('confusion')),
      images=test.get('n') or 0, protocol=str(result.get('protocol') or ''),
      chosen=result.get('chosen') or {},
      class_names=tuple(str(n) for n in result.get('class_names') or ()),
      seconds=result.get('seconds', record.get('seconds')))


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


def _finite(value: Any) -> bool:
  return (isinstance(value, int | float) and not isinstance(value, bool)
          and np.isfinite(value))
