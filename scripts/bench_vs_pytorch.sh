#!/usr/bin/env bash
# Our figures beside PyTorch's, in alternating runs: medians, and the median of the paired ratios.
#
#   scripts/bench_vs_pytorch.sh [PART...]     default: all parts
#   RUNS=5 COUNT=8 CASES="256:1 128:1 512:1 256:4 256:16" SETTINGS="eager fused channels-last" PAIRS=DIR
#
# Parts: networks (forward pass and training step for all CASES of size:batch), bf16 and avx2 (the same at 256 px, batch 1),
# loader, picture (one picture, whole process), memory (peak of training, whole process). PyTorch gets, for each figure, the best
# of SETTINGS, each tried once beforehand; "compile" is one too and needs a C++ compiler. PAIRS is a folder of pairs side by side
# for loader, picture and memory; generated ones without it.
# Needs python3 with torch, pillow and numpy, or makes a virtual environment with them in target/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

cargo build --release --locked -q -p pix2pix-cli
"$python" scripts/bench_vs_pytorch.py "$@"
