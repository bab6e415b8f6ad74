"""Tabulates the time and throughput of each method."""

from collections.abc import Callable, Sequence

import numpy as np

from ssl_jax import durations
from ssl_jax.report import tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study, finite


def content(study: Study) -> Content:
  """Returns the table of times."""
  return Content(cost=[table(study)])


def table(study: Study) -> tables.Table:
  """Returns steps, time and images per second; a heat map's cells share one row."""
  groups = [(study.display_name(m), [m]) for m in study.listed_methods]
  if study.heatmap.cells:
    groups.append((f'each of the {len(study.heatmap.cells)} cells of the heat map',
                   list(study.heatmap.cells)))
  columns = _columns(study)
  rows = []
  for name, methods in groups:
    results = [run.pretrain.get('result') or {}
               for m in methods for run in study.runs_of(m)]
    speeds = [speed for m in methods for speed in images_per_second(study, m)]
    rows.append(tables.text_cells(
        name, _mean([r.get('steps') for r in results], '{:,.0f}'.format),
        _mean([r.get('seconds') for r in results], durations.text),
        _mean(speeds, '{:,.0f}'.format),
        *(_evaluation_time(study, methods, together) for together in columns.values())))
  header = ('Method', 'Steps', 'Pre-training', 'Images/s', *columns)
  return tables.Table('Time per seed, averaged over the seeds that have results.',
                      header, tuple(rows))


def images_per_second(study: Study, method: str) -> np.ndarray:
  """Returns the throughput of each seed [n]: the run's own, or its log's median."""
  found = []
  for run in study.runs_of(method):
    logged = [line['images_per_second'] for line in run.metrics
              if finite(line.get('images_per_second'))]
    overall = (run.pretrain.get('result') or {}).get('images_per_second')
    if finite(overall) or logged:
      found.append(overall if finite(overall) else np.median(logged))
  return np.array(found)


def _columns(study: Study) -> dict[str, list[str]]:
  """Returns header -> evaluations; all data sets of a group share a column."""
  found = {}
  for e in study.evaluations:
    group = study.data_sets.get(e, ('',))[0]
    found.setdefault(f'{study.display_name(group)}, all data sets' if group else
                     study.display_name(e), []).append(e)
  return found


def _evaluation_time(study: Study, methods: Sequence[str],
                     evaluations: Sequence[str]) -> str:
  """Returns the total time of `evaluations`, averaged over methods and seeds.

  Args:
    study: the study.
    methods: the methods of the row.
    evaluations: the evaluations of the column.
  """
  if not any(study.requests(m, e) for m in methods for e in evaluations):
    return ''
  means = [np.mean(times) for e in evaluations if (times := [
      r.seconds for m in methods for r in study.results(m, e)
      if r.seconds is not None])]
  return durations.text(float(sum(means))) if means else tables.ABSENT


def _mean(values: Sequence[float | None], text: Callable[[float], str]) -> str:
  """Returns the mean of the values that are not None, formatted by `text`."""
  values = [v for v in values if v is not None]
  return text(float(np.mean(values))) if values else tables.ABSENT
