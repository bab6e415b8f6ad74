#!/usr/bin/env bash
# Trains on GPUs under Slurm, on one or more nodes.
#
#   sbatch --nodes=2 launch/slurm.sh --config=configs/simclr_imagenet.py \
#     --workdir=/shared/runs/r50
#
# Submit it from the folder of the project. The workdir and the data must be on a file
# system that all nodes share. Give partition, account and time to sbatch, or add them
# below.
#
# Each GPU has one process, as JAX assumes when it reads Slurm's variables: it gives each
# process the one GPU with the number of the task on its node. With one process per node,
# it would use only the first GPU of each. Each process decodes its own part of a batch.
# A resident data set is in host memory once per process while it is uploaded.
#
# Two minutes before the time limit, or when the job is preempted, all processes get
# SIGTERM, save the same step and end with status 75. The job then requeues itself and
# continues. Any other failure ends it.
#
# This script has not been run, because no Slurm cluster was available. SIGTERM, the exit
# status and the resume are tested with two processes on loopback. The options are those
# of the manuals of sbatch and srun.
#
#SBATCH --job-name=ssl_jax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Without `B:` the signal is sent to the processes that srun started, not to this script.
#SBATCH --signal=TERM@120
set -uo pipefail

cd "${SLURM_SUBMIT_DIR:?submit this script with sbatch}" || exit 1
# shellcheck disable=SC1091
[ -n "${VIRTUAL_ENV:-}" ] || source .venv/bin/activate
# See launch/multi_gpu.sh.
export XLA_FLAGS="--xla_gpu_enable_latency_hiding_scheduler=true ${XLA_FLAGS:-}"
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.9}
# JAX's coordinator is inside the cluster; a connection through a proxy would fail.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

# With --gpu-bind=none every task sees all GPUs of its node, and JAX selects one by its
# number. Without --kill-on-bad-exit the others would wait for a task that has failed.
srun --gpu-bind=none --cpus-per-task="${SLURM_CPUS_PER_TASK:-12}" --kill-on-bad-exit=1 \
  --label python -m "ssl_jax.${BINARY:-pretrain}" --distributed "$@"
status=$?
if [ $status -eq 75 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
