"""Tabulates the accuracy of every run."""

from typing import Any

from ssl_jax.report import tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import EvaluationResult, Study


def content(study: Study) -> Content:
  """Returns the folded table of runs."""
  return Content(details=[table(study)])


def table(study: Study) -> tables.Table:
  """Returns one row for each method, evaluation and seed that has a result."""
  results = study.all_results()
  rows = []
  for run, evaluation, result in results:
    accuracies = (result.top1, result.top5, result.mean_per_class)
    rows.append((
        tables.Cell(study.display_name(run.method)),
        tables.Cell(study.display_name(evaluation),
                    link=run.link(f'{evaluation}/result.json')),
        *tables.text_cells(str(run.seed), _settings(result), *(
            tables.ABSENT if a is None else f'{100 * a:.2f}' for a in accuracies))))
  header = ('Method', 'Evaluation', 'Seed', 'Settings', 'top-1', 'top-5',
            'mean per class')
  edges = any(result.at_edge for _, _, result in results)
  note = 'Edge: the end of the range that was searched; a wider one may do better.'
  return tables.Table('Every run: test accuracies in %.', header, tuple(rows),
                      (note,) * edges, left_aligned=4, title='Every run',
                      file='results.csv')


def _settings(result: EvaluationResult) -> str:
  """Returns the evaluator's settings, and whether they were chosen from several."""
  if not result.settings:
    return tables.ABSENT
  text = ', '.join(f'{name} = {_short(value)}{" (edge)" * (name in result.at_edge)}'
                   for name, value in result.settings.items())
  return text + '; chosen on validation' * result.searched


def _short(value: Any) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)
