#!/usr/bin/env bash
# Map tiles of one picture by p2p and by a straightforward Python pipeline, in turn: tiles per second, memory, visible windows.
#
#   scripts/tiles_vs_python.sh PICTURE MODEL ZOOMS [RUNS]     RUNS: 1 by default
#
# PICTURE is a GeoTIFF in EPSG:3857 in the pixels of the largest zoom, with a corner at a tile's; MODEL a checkpoint; ZOOMS A..B.
# Needs python3 with torch, pillow, numpy and rasterio, or makes a virtual environment with them in target/venv.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
picture=$(realpath "$1") model=$(realpath "$2") zooms=$3 runs=${4:-1}
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh
"$python" -c 'import rasterio' 2>/dev/null || "$python" -m pip install --quiet rasterio

cargo build --release --locked -q -p pix2pix-cli
"$python" scripts/tiles_vs_python.py "$picture" "$model" "$zooms" "$runs"
