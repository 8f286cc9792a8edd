#!/usr/bin/env bash
# Trains on all workers of a Cloud TPU VM, and brings a preempted one back.
#
#   export NAME=rlvr ZONE=us-east5-a TYPE=v5litepod-16 SHARE=10.0.0.2:/rlvr
#   scripts/tpu_vm.sh create
#   scripts/tpu_vm.sh setup
#   scripts/tpu_vm.sh launch --config=configs/quickstart.py --workdir=/mnt/rlvr/q
#   scripts/tpu_vm.sh status          # running, the exit status, or idle
#   scripts/tpu_vm.sh logs            # what every worker has printed, to LOGS
#   scripts/tpu_vm.sh stop            # SIGTERM: the last step is saved
#   scripts/tpu_vm.sh delete
#
#   scripts/tpu_vm.sh keep --config=... --workdir=...
#
# does all that is missing of create, setup and launch until the run is
# finished; a TPU that was preempted is made again and the run goes on. It stops
# with the logs fetched when the run itself fails RETRIES times in a row.
#
# Environment:
#   NAME, ZONE, TYPE  of the TPU VM.
#   SHARE     export of a network file system, such as Filestore, that all
#             workers mount at /mnt/rlvr; runs and models must lie there.
#   VERSION   software of the TPU VM (v2-alpha-tpuv5-lite).
#   MODULE    program (experiments.train).
#   SPOT      1 for capacity that may be preempted (1).
#   LOGS      folder for logs (logs).
#   POLL      seconds between two looks (60).
#   RETRIES   failures in a row that end `keep` (3).
set -euo pipefail

cd "$(dirname "$0")/.."
: "${NAME:?name of the TPU VM}" "${ZONE:?zone of the TPU VM}"
VERSION=${VERSION:-v2-alpha-tpuv5-lite} MODULE=${MODULE:-experiments.train}
SPOT=${SPOT:-1} LOGS=${LOGS:-logs} POLL=${POLL:-60} RETRIES=${RETRIES:-3}

tpu() {
  local verb=$1
  shift
  gcloud compute tpus tpu-vm "$verb" "$@" --zone="$ZONE"
}

# One command on every worker.
all() {
  tpu ssh "$NAME" --worker=all --command="$1" "${@:2}"
}

state() {
  tpu describe "$NAME" --format='value(state)' 2>/dev/null || echo MISSING
}

create() {
  local spot=()
  if [[ $SPOT == 1 ]]; then spot=(--spot); fi
  tpu create "$NAME" --accelerator-type="${TYPE:?such as v5litepod-16}" \
    --version="$VERSION" "${spot[@]}"
}

setup() {
  : "${SHARE:?such as 10.0.0.2:/rlvr, the address of a network file system}"
  local archive
  archive=$(mktemp --suffix=.tar.gz)
  git archive --format=tar.gz --output="$archive" HEAD
  tpu scp "$archive" "$NAME:rlvr_jax.tar.gz" --worker=all
  rm "$archive"
  all "set -e
    mkdir -p rlvr_jax && tar -xzf rlvr_jax.tar.gz -C rlvr_jax
    sudo apt-get update -q
    sudo apt-get install -qy nfs-common python3.11 python3.11-venv
    sudo mkdir -p /mnt/rlvr
    mountpoint -q /mnt/rlvr || sudo mount -t nfs $SHARE /mnt/rlvr
    cd rlvr_jax
    python3.11 -m venv .venv
    .venv/bin/pip install -q -e '.[tpu,verify]'"
}

# The exit status ends up in a file: the connection is not kept open meanwhile.
launch() {
  local flags
  printf -v flags ' %q' "$@"
  all "cd rlvr_jax
    rm -f exit_status
    JAX_NUM_PROCESSES=auto PYTHONUNBUFFERED=1 nohup bash -c '
      .venv/bin/python -m $MODULE \"\$@\" & echo \$! > pid
      wait \$!; echo \$? > exit_status' rlvr$flags \
      >> run.log 2>&1 < /dev/null &"
}

# Of the first worker: "running", the exit status, or "idle" if there is none,
# as after a restart of the machine.
status() {
  # shellcheck disable=SC2016 # The worker shall expand it.
  tpu ssh "$NAME" --worker=0 --command='exec 2> /dev/null
    cd rlvr_jax && cat exit_status && exit
    kill -0 "$(cat pid)" && echo running || echo idle'
}

stop() {
  # shellcheck disable=SC2016 # The worker shall expand it.
  all 'kill -TERM "$(cat rlvr_jax/pid)"'
}

logs() {
  mkdir -p "$LOGS"
  all 'cat rlvr_jax/run.log' --output-directory="$LOGS"
  echo "$LOGS"
}

delete() {
  tpu delete "$NAME" --quiet
}

keep() {
  local failures=0 told
  while true; do
    case $(state) in
      READY) ;;
      MISSING) create || true ;;
      CREATING | STARTING | RESTARTING) ;;
      *) # PREEMPTED, TERMINATED, STOPPED, ...
        delete || true
        continue
        ;;
    esac
    sleep "$POLL"
    [[ $(state) == READY ]] || continue
    told=$(status) || continue
    case $told in
      running) failures=0 ;;
      # Programs of their own: in a condition `set -e` would do nothing, and
      # they would go on after a step that failed.
      idle) scripts/tpu_vm.sh setup && scripts/tpu_vm.sh launch "$@" || true ;;
      0)
        # A worker that is about to be preempted has been asked to stop, too.
        sleep "$POLL"
        if [[ $(state) == READY ]]; then
          logs || true
          return 0
        fi
        ;;
      *)
        failures=$((failures + 1))
        echo "exit status $told, failure $failures in a row" >&2
        if ((failures >= RETRIES)); then
          logs || true
          return 1
        fi
        launch "$@" || true # The next look finds the old status again.
        ;;
    esac
  done
}

case ${1:-} in
  create | setup | launch | status | stop | logs | delete | keep) "$@" ;;
  *)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
