#!/usr/bin/env bash
# Peak memory of training, whole process: ours beside PyTorch, 256 px, width 64, batch 1.
#
#   scripts/memory_vs_pytorch.sh [DIR]     default: maps below P2P_DATA (../shared/data)
#
# Needs GNU time (Debian: apt-get install time) and what bench_loader.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

dir=${1:-${P2P_DATA:-../shared/data}/maps/train}
[ -x /usr/bin/time ] || { echo "memory_vs_pytorch: needs GNU time" >&2; exit 2; }
cargo build --release --locked -q -p pix2pix-cli
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

peak() { awk '/Maximum resident/ { printf "%.0f\n", $NF / 1024 }' "$1"; }

/usr/bin/time -v -o "$out/ours" target/release/p2p -q train --pairs "$dir" --size 256 --width 64 --steps 6 \
  --runs "$out/runs" --name memory >/dev/null
/usr/bin/time -v -o "$out/peer" "$python" scripts/pytorch_peer.py train --pairs "$dir" --size 256 --width 64 --steps 6 \
  --out "$out/peer-run" >/dev/null
ours=$(peak "$out/ours")
peer=$(peak "$out/peer")
echo "ours $ours MiB, PyTorch $peer MiB, ratio $(awk "BEGIN { printf \"%.2f\", $ours / $peer }")"
