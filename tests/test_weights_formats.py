"""Tests the list of formats: the command can tell them apart."""

from ssl_jax.weights import formats


def test_suffixes_differ_and_every_format_says_who_reads_it():
  found = list(formats.FORMATS.values())
  assert len({f.suffix for f in found}) == len(found)
  assert all('for ' in f.doc for f in found)


def test_formats_with_and_without_the_computation():
  programs = [name for name, f in formats.FORMATS.items() if f.holds_program]
  assert programs == ['jax', 'onnx']
