#!/usr/bin/env bash
# Kills `p2p tiles` at random moments and lets it go on: the archive must be the one of a run that nobody disturbed.
#
#   scripts/kill_tiles.sh INPUT MODEL [KILLS]     KILLS: 10 by default; the first two while it looks, the rest among blocks
#
# INPUT: a georeferenced picture with room for more blocks of 512 pixels than that.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
input=$(realpath "$1") model=$(realpath "$2") kills=${3:-10}
cd "$(dirname "$0")/.."
cargo build --release --locked -q -p pix2pix-cli
p2p=$PWD/target/release/p2p
folder=$(mktemp -d target/kill.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

blocks() { { find "killed.$1.work/blocks" -name '*.block' 2>/dev/null || true; } | wc -l; }

for kind in mbtiles pmtiles; do
  tiles=("$p2p" -q tiles "$input" --name map --model "$model" --block-size 512)
  "${tiles[@]}" -o whole.$kind
  killed=0 seen=""
  for attempt in $(seq "$kills"); do
    before=$(blocks $kind)
    "${tiles[@]}" -o killed.$kind &
    pid=$!
    # Later ones wait for one more block; then anything may be going on.
    if [ "$attempt" -gt 2 ]; then
      while [ "$(blocks $kind)" -le "$before" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    fi
    sleep "0.$((RANDOM % 1000 + 1000))"
    if kill -KILL "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || true
    seen="$seen $(blocks $kind)"
  done
  "${tiles[@]}" -o killed.$kind
  cmp whole.$kind killed.$kind
  echo "$kind: killed $killed times with so many blocks done:$seen; the archives are the same"
done
