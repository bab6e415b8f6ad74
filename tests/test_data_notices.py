"""Tests that a notice is logged once."""

import logging

from absl import logging as absl_logging

from ssl_jax.data import notices


def test_each_message_is_logged_once(caplog):
  notices.log_once.cache_clear()
  with caplog.at_level(logging.INFO):
    for message in ('12 images', '100 %s', '12 images'):
      notices.log_once(absl_logging.WARNING, message)
  assert caplog.messages == ['12 images', '100 %s']
