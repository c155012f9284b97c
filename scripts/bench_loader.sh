#!/usr/bin/env bash
# Pairs per second: our loader beside PyTorch's DataLoader, both with 2 workers, in alternating runs.
#
#   scripts/bench_loader.sh [DIR...]     default: maps and windows below P2P_DATA (../shared/data)
#   RUNS=5 SIZE=256
#
# Needs python3 with torch, pillow and numpy, or makes a virtual environment with them in target/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

data=${P2P_DATA:-../shared/data}
if [ $# -eq 0 ]; then
  set -- "$data/maps/train" "$data/windows/train"
fi
cargo build --release --locked -q -p pix2pix-cli
for dir in "$@"; do
  [ -d "$dir" ] || { echo "bench_loader: $dir is not there" >&2; exit 2; }
  : >target/bench_loader.jsonl
  for _ in $(seq "${RUNS:-5}"); do
    for cache in 0 4096; do
      target/release/p2p bench loader --pairs "$dir" --size "${SIZE:-256}" --threads 2 --cache-mib $cache --repeat 3 --json |
        sed "s/^{/{\"who\":\"ours, cache $cache MiB\",/" >>target/bench_loader.jsonl
    done
    "$python" scripts/pytorch_peer.py load --pairs "$dir" --size "${SIZE:-256}" --workers 2 --repeat 3 |
      sed 's/^{/{"who":"PyTorch",/' >>target/bench_loader.jsonl
  done
  "$python" - "$dir" <<'PY'
import json, statistics, sys
runs = {}
for line in open("target/bench_loader.jsonl"):
    record = json.loads(line)
    runs.setdefault(record["who"], []).append(record["pairs_per_s"])
print(sys.argv[1])
for who, rates in runs.items():
    ratios = [rate / peer for rate, peer in zip(rates, runs["PyTorch"])]
    print(f"  {who:20} {statistics.median(rates):8.1f} pairs/s, {statistics.median(ratios):5.2f} times PyTorch (paired median)")
PY
done
