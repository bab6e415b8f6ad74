"""The tables of detail: by class, times, settings, every run; and the CSV file."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ssl_jax import config
from ssl_jax.report import records, tables

_EDGE = ' (edge)'


def per_class(study: records.Study, evaluation: str) -> tables.Table:
  """Accuracy of each class in percent, classes by methods."""
  found = {m: 100 * study.per_class(m, evaluation) for m in study.listed_methods}
  found = {m: values for m, values in found.items() if values.size}
  classes = max((values.shape[1] for values in found.values()), default=0)
  rows = tuple((tables.Cell(name), *(tables.spread(v[np.isfinite(v[:, i]), i], 1)
                                     for v in found.values()))
               for i, name in enumerate(study.class_names(classes)))
  return tables.Table(f'{study.label(evaluation)}: accuracy of each class, in %.',
                      ('Class', *map(study.label, found)), rows)


def times(study: records.Study) -> tables.Table:
  """What each method cost, per seed; the cells of the heat map in one row."""
  groups = [(study.label(m), [m]) for m in study.listed_methods]
  if study.heatmap.cells:
    groups.append((f'each of the {len(study.heatmap.cells)} cells of the heat map',
                   list(study.heatmap.cells)))
  rows = []
  for name, methods in groups:
    results = [run.pretrain.get('result') or {} for m in methods for run in study.of(m)]
    speeds = [speed for m in methods for speed in study.images_per_second(m)]
    rows.append(tables.row(
        name, _mean([r.get('steps') for r in results], '{:,.0f}'.format),
        _mean([r.get('seconds') for r in results], duration),
        _mean(speeds, '{:,.0f}'.format),
        *(_seconds(study, methods, together) for together in _columns(study).values())))
  header = ('Method', 'Steps', 'Pre-training', 'Images/s', *_columns(study))
  return tables.Table('Time per seed, mean over the seeds that are there.', header,
                      tuple(rows))


def _columns(study: records.Study) -> dict[str, list[str]]:
  """Header -> evaluations; those of a group on all its data sets together."""
  found = {}
  for e in study.evaluations:
    group = study.data_sets.get(e, ('',))[0]
    found.setdefault(f'{study.label(group)}, all data sets' if group else
                     study.label(e), []).append(e)
  return found


def _seconds(study: records.Study, methods: Sequence[str],
             evaluations: Sequence[str]) -> str:
  """What these evaluations took one after the other, the mean over seeds."""
  if not any(study.wants(m, e) for m in methods for e in evaluations):
    return ''
  means = [np.mean(times) for e in evaluations if (times := [
      s.seconds for m in methods for s in study.scores(m, e) if s.seconds is not None])]
  return duration(float(sum(means))) if means else tables.ABSENT


def _mean(values: Sequence[float | None], text: Callable[[float], str]) -> str:
  """The mean of what is there, as `text` writes it."""
  values = [v for v in values if v is not None]
  return text(float(np.mean(values))) if values else tables.ABSENT


def duration(seconds: float) -> str:
  """`8.2 s`, `3 min 20 s`, `2 h 05 min`: two units at most."""
  if round(seconds, 1) < 10:
    return f'{seconds:.1f} s'
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  minutes = round(seconds / 60)
  return f'{minutes // 60} h {minutes % 60:02d} min'


def differences(study: records.Study) -> tables.Table:
  """The fields of the pre-training configs in which the listed methods differ."""
  flat = {}
  for method in study.listed_methods:
    found = [run.pretrain.get('config') for run in study.of(method)]
    found = [c for c in found if c]
    if found:
      flat[method] = dict(config.flatten(found[0]))
  # Seeds differ where a method's first one is missing, work folders always.
  fields = sorted({f for c in flat.values() for f in c
                   if f.rpartition('.')[2] not in ('seed', 'workdir')})
  rows = []
  for field in fields:
    texts = [json.dumps(c[field]) if field in c else tables.ABSENT
             for c in flat.values()]
    if len(set(texts)) > 1:
      rows.append(tables.row(field, *(text.strip('"') for text in texts)))
  return tables.Table('Where the pre-training configs of the methods differ.',
                      ('Field', *map(study.label, flat)), tuple(rows),
                      left=len(flat) + 1)


def every_run(study: records.Study) -> tables.Table:
  """One row for each method, evaluation and seed that is there."""
  rows = []
  for method, evaluation, run in _results(study):
    scores = run.scores[evaluation]
    accuracies = (scores.top1, scores.top5, scores.mean_per_class)
    chosen = ', '.join(f'{k} = {_short(v)}{_EDGE * (k in scores.at_edge)}'
                       for k, v in scores.chosen.items())
    rows.append(tables.row(
        study.label(method), study.label(evaluation), str(run.seed),
        chosen or tables.ABSENT,
        *(tables.ABSENT if a is None else f'{100 * a:.2f}' for a in accuracies)))
  header = ('Method', 'Evaluation', 'Seed', 'Chosen on validation', 'top-1', 'top-5',
            'mean per class')
  edges = any(s.at_edge for run in study.runs for s in run.scores.values())
  note = 'Edge: an end of the range that was tried; a wider one may do better.'
  return tables.Table('Every run: test accuracies in %.', header, tuple(rows),
                      (note,) * edges, left=4)


def _short(value: Any) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)


def _results(study: records.Study) -> list[tuple[str, str, records.Run]]:
  return [(method, evaluation, run) for method in study.methods
          for evaluation in study.evaluations for run in study.of(method)
          if evaluation in run.scores]


def to_csv(study: records.Study) -> str:
  """One line per method, evaluation and seed; accuracies are fractions."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(('method', 'evaluation', 'seed', 'protocol', 'top1', 'top5',
                   'mean_per_class', 'score', 'test_images', 'train_images', 'chosen',
                   'at_edge', 'seconds', 'rehearsal'))
  for method, evaluation, run in _results(study):
    s = run.scores[evaluation]
    writer.writerow((method, evaluation, run.seed, s.protocol, s.top1, s.top5,
                     s.mean_per_class, s.score, s.images or None, s.labelled or None,
                     json.dumps(s.chosen, sort_keys=True), ' '.join(s.at_edge),
                     s.seconds, study.rehearsal))
  return text.getvalue()


