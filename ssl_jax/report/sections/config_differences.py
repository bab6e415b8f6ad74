"""Tabulates the differences between the pre-training configs of the methods."""

import json

from ssl_jax import plain_config
from ssl_jax.report import tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study


def content(study: Study) -> Content:
  """Returns the folded table of differences."""
  return Content(details=[table(study)])


def table(study: Study) -> tables.Table:
  """Returns the fields in which the configs of listed methods differ."""
  fields_of = {}
  for method in study.listed_methods:
    found = [run.pretrain.get('config') for run in study.runs_of(method)]
    found = [c for c in found if c]
    if found:
      fields_of[method] = dict(plain_config.flatten(found[0]))
  # Seeds differ if the first seed of a method has no result, work folders always do.
  names = sorted({f for fields in fields_of.values() for f in fields
                  if f.rpartition('.')[2] not in ('seed', 'workdir')})
  rows = []
  for name in names:
    texts = [json.dumps(fields[name]) if name in fields else tables.ABSENT
             for fields in fields_of.values()]
    if len(set(texts)) > 1:
      rows.append(tables.text_cells(name, *(text.strip('"') for text in texts)))
  return tables.Table('Fields in which the pre-training configs differ.',
                      ('Field', *map(study.display_name, fields_of)), tuple(rows),
                      left_aligned=len(fields_of) + 1,
                      title='Differences between the methods')
