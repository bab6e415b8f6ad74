#!/usr/bin/env bash
# Installs ssl_jax with its test extras and runs lint and tests.
#   bash launch/test.sh [any argument of pytest]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" '[test]'
ruff check .
python -m pytest -n auto "$@"
