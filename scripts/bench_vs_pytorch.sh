#!/usr/bin/env bash
# Forward pass and training step beside PyTorch, in alternating runs: medians, and the median of the paired ratios.
#
#   scripts/bench_vs_pytorch.sh [SIZE:BATCH...]     default: 256:1 128:1 512:1 256:4 256:16
#   RUNS=5 COUNT=8 WIDTH=64 SIMD=avx512 SETTINGS="eager fused channels-last"
#
# PyTorch gets, for each figure, the best of SETTINGS: each is tried once before the runs. "compile" is a setting too.
# Needs what bench_loader.sh needs; compile needs a C++ compiler besides.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

[ $# -gt 0 ] || set -- 256:1 128:1 512:1 256:4 256:16
cargo build --release --locked -q -p pix2pix-cli
export PYTHON=$python RUNS=${RUNS:-5} COUNT=${COUNT:-8} WIDTH=${WIDTH:-64} SIMD=${SIMD:-avx512}
export SETTINGS=${SETTINGS:-eager fused channels-last}
"$python" - "$@" <<'PY'
import json, os, statistics, subprocess, sys

FLAGS = {
    "eager": [],
    "fused": ["--fused"],
    "channels-last": ["--fused", "--channels-last"],
    "compile": ["--fused", "--compile"],
    "bf16": ["--fused", "--bf16"],
}
runs, count, width = os.environ["RUNS"], os.environ["COUNT"], os.environ["WIDTH"]


def call(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


for case in sys.argv[1:]:
    size, batch = case.split(":")
    common = ["--size", size, "--width", width, "--batch", batch, "--count", count]
    ours = lambda: call(["target/release/p2p", "--simd", os.environ["SIMD"], "bench", "--json", *common])
    peer = lambda setting: call([os.environ["PYTHON"], "scripts/pytorch_peer.py", "time", *common, *FLAGS[setting]])
    tried = {setting: peer(setting) for setting in os.environ["SETTINGS"].split()}
    best = {figure: min(tried, key=lambda setting: tried[setting][figure]) for figure in ("forward_s", "step_s")}
    pairs = []
    for _ in range(int(runs)):
        own = ours()
        others = {setting: peer(setting) for setting in set(best.values())}
        pairs.append((own, {figure: others[best[figure]][figure] for figure in best}))
    for figure in best:
        own = statistics.median(a[figure] for a, _ in pairs)
        other = statistics.median(b[figure] for _, b in pairs)
        ratio = statistics.median(a[figure] / b[figure] for a, b in pairs)
        name = figure.removesuffix("_s")
        print(
            f"{size:>4} px, batch {batch:>2}, {name:7}: ours {own * 1e3:8.1f} ms, PyTorch {other * 1e3:8.1f} ms "
            f"({best[figure]}), ratio {ratio:.2f}",
            flush=True,
        )
PY
