#!/usr/bin/env bash
# Trains on one host with several GPUs. One process uses all of them: JAX finds every
# GPU, and the batch is split over them. No cluster has to be configured.
#
#   bash launch/multi_gpu.sh [flags of ssl_jax.pretrain]
#   bash launch/multi_gpu.sh --config=configs/simclr_imagenet.py --workdir=runs/r50
#   CUDA_VISIBLE_DEVICES=0,1 bash launch/multi_gpu.sh ...    # only some of them
#
# BINARY  the binary, if it is not pretrain: study, finetune, evaluate, ...
#
# After SIGTERM the state is saved and the status is 75; the same command then continues.
#
# This script has not been run on several GPUs, because none were available. The tests
# show that one process trains the same on one and on eight devices, which are CPUs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${VIRTUAL_ENV:-}" ] && [ -d .venv/bin ]; then
  PATH="$PWD/.venv/bin:$PATH"
fi

# By default XLA starts a collective and waits for its end. This flag makes it schedule
# computation between the start and the end of each collective, here the all-gather of
# embeddings and the all-reduces of BatchNorm and gradients.
export XLA_FLAGS="--xla_gpu_enable_latency_hiding_scheduler=true ${XLA_FLAGS:-}"
# JAX allocates this fraction of the memory of each GPU. Its default, 0.75, leaves more
# than NCCL, cuDNN and cuBLAS need if no other program uses the GPU.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.9}

exec python -m "ssl_jax.${BINARY:-pretrain}" "$@"
