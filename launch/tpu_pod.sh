#!/usr/bin/env bash
# Requests a Cloud TPU slice as a queued resource, installs ssl_jax, runs it, deletes it.
#
#   export TPU=my-run ZONE=us-central2-b TYPE=v4-32 VERSION=tpu-ubuntu2204-base
#   export NFS=10.0.0.2:/share      # a Filestore share in the same network
#   bash launch/tpu_pod.sh create   # requests the slice and waits until it is ready
#   bash launch/tpu_pod.sh install  # copies this folder to all workers and installs it
#   bash launch/tpu_pod.sh run --config=configs/simclr_imagenet.py \
#     --workdir=/mnt/share/runs/r50 --config.data.data_dir=/mnt/share/tfds
#   bash launch/tpu_pod.sh delete   # a slice costs money until it is deleted
#
#   TYPE, VERSION  v4-32 and tpu-ubuntu2204-base, v5litepod-16 and v2-alpha-tpuv5-lite,
#                  v6e-16 and v2-alpha-tpuv6e
#   CREATE_FLAGS   further flags of the request, such as --spot or --reserved
#   BINARY         the binary, if it is not pretrain
#
# All workers must share a file system: process 0 alone writes metrics and results, every
# process writes its part of a checkpoint, and all read them to resume. A bucket that is
# mounted by gcsfuse cannot replace NFS if renaming a folder in it is not atomic.
#
# `run` stays in the foreground, so start it in tmux. If the slice is preempted, the last
# line names the step that is saved: delete, create, install and run again.
#
# This script has not been run, because no Cloud TPU was available. The flags are those
# of the gcloud reference for `compute tpus queued-resources` and `compute tpus tpu-vm`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TPU:?name of the slice}" "${ZONE:?its zone}"

on_all_workers() {
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$1"
}

create() {
  local flags=() state=
  read -ra flags <<<"${CREATE_FLAGS:-}"
  gcloud compute tpus queued-resources create "$TPU" --node-id="$TPU" --zone="$ZONE" \
    --accelerator-type="${TYPE:?such as v4-32}" \
    --runtime-version="${VERSION:?such as tpu-ubuntu2204-base}" ${flags[@]+"${flags[@]}"}
  while [ "$state" != ACTIVE ]; do
    sleep 30
    state=$(gcloud compute tpus queued-resources describe "$TPU" --zone="$ZONE" \
      --format='value(state.state)')
    echo "$TPU: $state"
    case $state in
      FAILED | SUSPENDING | SUSPENDED)
        echo "error: the request is $state; delete it and ask for another zone or type" >&2
        exit 1 ;;
    esac
  done
}

install() {
  local archive
  archive=$(mktemp -d)/ssl_jax.tgz
  # All workers must have the same files, because they compare the code at the start.
  tar --exclude=.git --exclude=.venv --exclude=runs -czf "$archive" .
  gcloud compute tpus tpu-vm scp "$archive" "$TPU":ssl_jax.tgz --zone="$ZONE" --worker=all
  # The VM has Python 3.10; uv installs a newer one without root.
  on_all_workers "set -e
    mkdir -p ssl_jax && tar -xzf ssl_jax.tgz -C ssl_jax && cd ssl_jax
    curl -LsSf https://astral.sh/uv/install.sh | sh
    ~/.local/bin/uv venv --python 3.12 .venv
    ~/.local/bin/uv pip install --python .venv/bin/python -e '.[tpu]'
    command -v mount.nfs >/dev/null || sudo apt-get install -y -qq nfs-common
    sudo mkdir -p /mnt/share
    mountpoint -q /mnt/share || sudo mount -t nfs '${NFS:?host:/share of an NFS}' /mnt/share"
}

run() {
  local flags
  flags=$(printf '%q ' "$@")
  # With --distributed JAX finds the other workers in the metadata of the VM.
  on_all_workers \
    "cd ssl_jax && exec .venv/bin/python -m ssl_jax.${BINARY:-pretrain} --distributed $flags"
}

delete() {
  gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" --force --quiet
}

case ${1:-} in
  create | install | delete) "$1" ;;
  run) shift && run "$@" ;;
  *) echo 'error: the first argument is create, install, run or delete' >&2; exit 2 ;;
esac
