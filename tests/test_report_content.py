"""Tests that the material of several sections is merged in order."""

from ssl_jax.report import content, tables

FULL = tables.Table('full', ('a',), (tables.text_cells('1'),))
EMPTY = tables.Table('empty', ('a',), ())
Content = content.Content


def test_sections_keep_their_order():
  one = Content(results=[FULL], findings={'x': ['1'], 'y': ['2']}, cost=[FULL])
  other = Content(results=[FULL, FULL], findings={'x': ['3']}, details=[FULL])
  merged = content.merge([one, other])
  assert list(merged.findings.items()) == [('x', ['1', '3']), ('y', ['2'])]
  assert [len(part) for part in (merged.results, merged.cost, merged.details)] == [
      3, 1, 1]


def test_empty_tables_and_headings_are_dropped():
  merged = content.merge([Content(results=[EMPTY], findings={'x': []}, cost=[EMPTY],
                                  details=[EMPTY, FULL])])
  assert merged == Content(results=[], figures=[], cost=[], details=[FULL])
