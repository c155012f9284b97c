#!/usr/bin/env bash
# A picture translated at once and in windows: time, memory, difference, and how visible the borders of windows are.
#
#   scripts/seams.sh MODEL PICTURE [WINDOW]     WINDOW: longest side of a window, 1024 by default
#
# MODEL is a run or a checkpoint; PICTURE is larger than WINDOW and small enough to be translated at once.
# Needs python3 with pillow and numpy, or makes a virtual environment with them in target/venv.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
model=$(realpath "$1") picture=$(realpath "$2") window=${3:-1024}
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
. scripts/python.sh

cargo build --release --locked -q -p pix2pix-cli
"$python" scripts/seams.py "$model" "$picture" "$window"
