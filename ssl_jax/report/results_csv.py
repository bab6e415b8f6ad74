"""Writes all results of a study as CSV."""

import csv
import io
import json

from ssl_jax.report.study import Study


def text(study: Study) -> str:
  """Returns one line per method, evaluation and seed; accuracies are fractions."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator='\n')
  writer.writerow(('method', 'evaluation', 'seed', 'protocol', 'top1', 'top5',
                   'mean_per_class', 'score', 'test_images', 'train_images', 'chosen',
                   'at_edge', 'seconds', 'rehearsal'))
  for run, evaluation, r in study.all_results():
    writer.writerow((run.method, evaluation, run.seed, r.protocol, r.top1, r.top5,
                     r.mean_per_class, r.metric, r.images or None, r.labelled or None,
                     json.dumps(r.settings, sort_keys=True), ' '.join(r.at_edge),
                     r.seconds, study.rehearsal))
  return out.getvalue()
