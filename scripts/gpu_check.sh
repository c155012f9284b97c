#!/usr/bin/env bash
# On a machine with a GPU: correct against the CPU first, then speed and memory beside PyTorch.
#
#   scripts/gpu_check.sh [DEVICE]     default: cuda; "flex" is a rehearsal on the CPU
#   P2P="target/release/p2p"          the binary, built with the device's feature, or the command that runs it
#   PAIRS=DIR                         folder of pairs; generated ones without it
#   STEPS=500 BATCHES="1 8 64" COUNT=20 PEER="eager compile channels-last-bf16"
#
# Needs nothing but the binary; what is compared with PyTorch needs python3 with torch, pillow and numpy, and is left out without.
set -euo pipefail
cd "$(dirname "$0")/.."

device=${1:-cuda}
read -ra p2p <<<"${P2P:-target/release/p2p}"
count=${COUNT:-20}
step() { printf '\n== %s\n' "$*"; "$@"; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

step "${p2p[@]}" devices
step "${p2p[@]}" bench check --device "$device"

pairs=${PAIRS:-}
if [ -z "$pairs" ]; then
  pairs=$out/pairs
  step "${p2p[@]}" synth --count 64 --size 256 --out "$pairs"
fi
step "${p2p[@]}" train --pairs "$pairs" --device "$device" --steps "${STEPS:-500}" --runs "$out/runs" --name check
step "${p2p[@]}" evaluate --pairs "$pairs" --device "$device" --model "$out/runs/check"

peer_device=$device
case $device in flex* | ndarray*) peer_device=cpu ;; esac
for batch in ${BATCHES:-1 8 64}; do
  for precision in f32 bf16; do
    step "${p2p[@]}" bench --device "$device" --batch "$batch" --precision "$precision" --count "$count" --json
  done
  for setting in ${PEER:-eager compile channels-last-bf16}; do
    case $setting in
      eager) flags=() ;;
      compile) flags=(--fused --compile) ;;
      channels-last-bf16) flags=(--fused --channels-last --bf16) ;;
      *) echo "gpu_check: no setting $setting" >&2; exit 2 ;;
    esac
    if python3 -c 'import torch, PIL, numpy' 2>/dev/null; then
      step python3 scripts/pytorch_peer.py time --device "$peer_device" --batch "$batch" --count "$count" "${flags[@]}"
    else
      echo "no PyTorch here: $setting left out"
    fi
  done
done
