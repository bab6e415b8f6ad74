#!/usr/bin/env bash
# The main job on the bundled `digits`: SimCLR against a random encoder and a
# supervised one. Offline after installation, minutes on two cores.
#   bash launch/quickstart.sh [any flag of ssl_jax.study]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh" ''
python -m ssl_jax.study --config=configs/studies/quickstart.py \
  --workdir=runs/quickstart "$@"
