#!/usr/bin/env bash
# Kills `p2p tiles` at random moments and lets it go on: the archive must be the one of a run that nobody disturbed.
#
#   scripts/kill_tiles.sh INPUT MODEL [KILLS]     KILLS: 10 by default
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2; }
input=$(realpath "$1") model=$(realpath "$2") kills=${3:-10}
cd "$(dirname "$0")/.."
cargo build --release --locked -q -p pix2pix-cli
p2p=$PWD/target/release/p2p
folder=$(mktemp -d target/kill.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

tiles() { "$p2p" -q tiles "$input" -o "$1.$2" --name map --model "$model" --block-size 1024; }

for kind in mbtiles pmtiles; do
  began=$(date +%s%N)
  tiles whole $kind
  milliseconds=$((($(date +%s%N) - began) / 1000000))
  killed=0 at_work=0
  for attempt in $(seq "$kills"); do
    "$p2p" -q tiles "$input" -o killed.$kind --name map --model "$model" --block-size 1024 &
    pid=$!
    # Somewhere in what is left, shorter each time.
    sleep "$(awk -v all="$milliseconds" -v n="$attempt" -v seed="$RANDOM" \
      'BEGIN { srand(seed); printf "%.3f", all / 1000 * (0.02 + rand() * 0.5) }')"
    if kill -KILL "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || true
    at_work=$(find killed.$kind.work/blocks -name '*.block' 2>/dev/null | wc -l)
    [ ! -e killed.$kind ] || break
  done
  [ -e killed.$kind ] || tiles killed $kind
  cmp whole.$kind killed.$kind
  echo "$kind: killed $killed times, $at_work blocks at the last, the archives are the same"
done
