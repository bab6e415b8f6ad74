#!/usr/bin/env bash
# A Cloud TPU slice, from a queued resource: request, install, run, delete.
#
#   export TPU=my-run ZONE=us-central2-b TYPE=v4-32 VERSION=tpu-ubuntu2204-base
#   export NFS=10.0.0.2:/share      # a Filestore share in the same network
#   bash launch/tpu_pod.sh create   # requests the slice and waits until it is there
#   bash launch/tpu_pod.sh install  # this folder, Python and ssl_jax, on all workers
#   bash launch/tpu_pod.sh run --config=configs/simclr_imagenet.py \
#     --workdir=/mnt/share/runs/r50 --config.data.data_dir=/mnt/share/tfds
#   bash launch/tpu_pod.sh delete   # a slice costs money until it is deleted
#
#   TYPE, VERSION  v4-32 and tpu-ubuntu2204-base, v5litepod-16 and v2-alpha-tpuv5-lite,
#                  v6e-16 and v2-alpha-tpuv6e
#   CREATE_FLAGS   such as --spot or --reserved
#   BINARY         another binary than pretrain
#
# A file system that all workers share is needed: process 0 alone writes metrics and
# results, every process writes its part of a checkpoint, and all read them to resume.
# A bucket mounted by gcsfuse is no substitute for NFS where renaming a folder is not
# atomic.
#
# `run` stays in the foreground; start it in tmux. Where the slice is taken away, the
# last line says which step is saved: delete, create, install and run again.
#
# Not run: no Cloud TPU was at hand. The flags are those of the gcloud reference for
# `compute tpus queued-resources` and `compute tpus tpu-vm`.
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
  # All workers get the same files: they compare the code before they start.
  tar --exclude=.git --exclude=.venv --exclude=runs -czf "$archive" .
  gcloud compute tpus tpu-vm scp "$archive" "$TPU":ssl_jax.tgz --zone="$ZONE" --worker=all
  # The VM's own Python is 3.10; uv brings a newer one without root.
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
  # --distributed: JAX finds the other workers in the metadata of the VM.
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
