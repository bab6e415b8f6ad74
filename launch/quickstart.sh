#!/usr/bin/env bash
# Runs a study on the bundled `digits` that compares SimCLR with a random encoder and a
# supervised one. It needs no network after the installation, and takes minutes on two
# cores.
#   bash launch/quickstart.sh [any flag of ssl_jax.study]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" ''
python -m ssl_jax.study --config=configs/studies/quickstart.py \
  --workdir=runs/quickstart "$@"
