#!/usr/bin/env bash
# Runs a cluster on one machine: N processes that communicate over loopback, each with
# its own CPU devices. The program is the same as on the hosts of a pod.
#
#   bash launch/local_cluster.sh N [command...]
#   bash launch/local_cluster.sh 2 python -m ssl_jax.pretrain \
#     --config=configs/simclr_cifar10.py --workdir=runs/two
#
# Without a command, SimCLR is trained on digits for two epochs in runs/local_cluster.
# Lines of output are prefixed with the number of their process. The exit status is the
# first one that is not 0; 75 means that the state is saved and the same command
# continues. SIGTERM and Ctrl-C are sent to all processes, so that the run saves and
# stops.
#
#   DEVICES  CPU devices per process; default 1
#   GRACE    seconds from the failure of one process until the others are killed;
#            default 20
#
# Tested with 2 processes on Linux, by tests/test_local_cluster.py.
set -uo pipefail

if ! [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  echo 'error: the first argument is the number of processes, for example' \
    'bash launch/local_cluster.sh 2 python -m ssl_jax.pretrain --workdir=runs/two' >&2
  exit 2
fi
processes=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${VIRTUAL_ENV:-}" ] && [ -d "$root/.venv/bin" ]; then
  PATH="$root/.venv/bin:$PATH"
fi
if [ $# -eq 0 ]; then
  set -- python -m ssl_jax.pretrain --workdir="$root/runs/local_cluster" \
    --config="$root/configs/simclr_cifar10.py:resnet20" --config.data.name=digits \
    --config.feed.batch_size=240 --config.optim.warmup_epochs=0 \
    --config.train.epochs=2 --config.train.knn_every_epochs=0
fi

# A port is free if a connection to it fails.
port=$((20000 + RANDOM % 10000))
while (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
  port=$((20000 + RANDOM % 10000))
done
export JAX_COORDINATOR_ADDRESS="127.0.0.1:$port" JAX_NUM_PROCESSES="$processes"
export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES="${DEVICES:-1}"

pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
stop=0
trap 'stop=1' TERM INT
running=() readers=()
prefixed() {  # not awk or sed, which buffer lines
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "[$1] $line"
  done
}
for ((i = 0; i < processes; i++)); do
  # A named pipe and not `|`, because $! must be the process that gets signals.
  mkfifo "$pipes/$i"
  prefixed "$i" <"$pipes/$i" &
  readers+=($!)
  JAX_PROCESS_ID=$i "$@" >"$pipes/$i" 2>&1 &
  running+=($!)
done

# The bash of macOS does not have `wait -n`, which waits for the first process to end.
status=0 deadline=0
while [ ${#running[@]} -gt 0 ]; do
  if [ $stop -eq 1 ]; then
    kill -TERM "${running[@]}" 2>/dev/null
    stop=0
  fi
  sleep 0.2
  still=()
  for pid in "${running[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then
      still+=("$pid")
      continue
    fi
    wait "$pid" 2>/dev/null  # bash would print which processes it has killed
    ended=$?
    if [ $ended -ne 0 ] && [ $status -eq 0 ]; then
      status=$ended deadline=$((SECONDS + ${GRACE:-20}))
    fi
  done
  running=(${still[@]+"${still[@]}"})
  if [ $status -ne 0 ] && [ $SECONDS -ge $deadline ] && [ ${#running[@]} -gt 0 ]; then
    kill -KILL "${running[@]}" 2>/dev/null
  fi
done
wait "${readers[@]}"
exit "$status"
