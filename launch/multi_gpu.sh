#!/usr/bin/env bash
# One host with several GPUs. One process drives them all: JAX sees every GPU, the
# batch is split over them, and nothing has to be told about a cluster.
#
#   bash launch/multi_gpu.sh [flags of ssl_jax.pretrain]
#   bash launch/multi_gpu.sh --config=configs/simclr_imagenet.py --workdir=runs/r50
#   CUDA_VISIBLE_DEVICES=0,1 bash launch/multi_gpu.sh ...    # only some of them
#
# BINARY  another binary than pretrain: study, finetune, evaluate, ...
#
# SIGTERM saves the run; it ends with status 75, and the same command goes on.
#
# Not run: no host with more than one GPU was at hand. That one process trains the
# same on one and on eight (CPU) devices is tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${VIRTUAL_ENV:-}" ] && [ -d .venv/bin ]; then
  PATH="$PWD/.venv/bin:$PATH"
fi

# XLA schedules for one device: it starts a collective and waits. With this it moves
# compute between the start and the end of each, here the all-gather of embeddings and
# the all-reduces of BatchNorm and gradients.
export XLA_FLAGS="--xla_gpu_enable_latency_hiding_scheduler=true ${XLA_FLAGS:-}"
# The default of 0.75 leaves a quarter of each GPU to programs that are not there;
# the rest is for NCCL, cuDNN and cuBLAS.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.9}

exec python -m "ssl_jax.${BINARY:-pretrain}" "$@"
