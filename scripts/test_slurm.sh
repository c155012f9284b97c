#!/usr/bin/env bash
# Runs map tiles as a job array of four shards on a Slurm of its own on this machine, kills one on the way, and compares the merged
# archive byte for byte with that of a single process. Installs Debian's slurm-wlm as root; needs a checkpoint.
#
#   scripts/test_slurm.sh MODEL [INPUT]     INPUT: a georeferenced picture; a generated town by default
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
model=$(realpath "$1") input=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
command -v slurmctld >/dev/null && command -v munged >/dev/null || {
  apt-get install -y -qq slurm-wlm munge >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq slurm-wlm munge; } >/dev/null
}
cargo build --release --locked -q -p pix2pix-cli
P2P=$PWD/target/release/p2p
export P2P
folder=$(mktemp -d "$PWD/target/slurm.XXXXXX")
chmod 755 "$folder"
host=$(hostname)

if [ -z "$input" ]; then
  "$P2P" -q synth --scene town --count 1 --size 2048 --out "$folder/town"
  cp "$(find "$folder/town" -name '*.png' | head -1)" "$folder/pair.png"
  # The pair as it is, satellite and map beside each other: 4096x2048 pixels.
  input=$folder/pair.png
  # About three metres a pixel, somewhere in Europe.
  printf '3\n0\n0\n-3\n1370000\n6262000\n' >"$folder/pair.pgw"
fi

cat >"$folder/slurm.conf" <<CONF
ClusterName=p2p
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true
KillWait=10
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p "$folder/state" "$folder/spool"
export SLURM_CONF=$folder/slurm.conf
[ -s /etc/munge/munge.key ] || mungekey -c
mkdir -p /run/munge && chown munge: /run/munge /etc/munge/munge.key /var/log/munge /var/lib/munge
munge_was_here=$(pgrep -x munged || true)
[ -n "$munge_was_here" ] || setpriv --reuid munge --regid munge --clear-groups munged
end() {
  scontrol shutdown >/dev/null 2>&1 || true
  [ -n "$munge_was_here" ] || kill "$(cat /run/munge/munged.pid 2>/dev/null)" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
slurmctld
slurmd
for _ in $(seq 30); do
  sinfo -h -o %T 2>/dev/null | grep -q idle && break
  sleep 1
done
sinfo

crs=()
case $input in *.tif) ;; *) crs=(--src-crs EPSG:3857) ;; esac
"$P2P" tiles "$input" "${crs[@]}" --model "$model" --block-size 1024 -o "$folder/single.pmtiles"
"$P2P" tiles plan "$input" "${crs[@]}" --model "$model" --block-size 1024 --work "$folder/work"
job=$(sbatch --parsable --array=0-3 --cpus-per-task=1 --mem=2G --output="$folder/task-%a.log" --export=ALL scripts/slurm_tiles.sh "$folder/work")
# One shard is killed while it works, as an out-of-memory killer would.
killed=no
for _ in $(seq 300); do
  pid=$(pgrep -f "tiles run $folder/work" | tail -1 || true)
  if [ -n "$pid" ] && [ "$(find "$folder/work/blocks" -name '*.block' | wc -l)" -ge 1 ]; then
    kill -KILL "$pid" && killed=yes
    break
  fi
  sleep 0.1
done
[ "$killed" = yes ] || {
  echo "no shard could be killed while it worked" >&2
  squeue >&2
  tail -n 5 "$folder"/task-*.log "$folder"/slurmd.log >&2
  exit 1
}
for _ in $(seq 600); do
  [ -n "$(squeue -h -j "$job" 2>/dev/null)" ] || break
  sleep 1
done
[ "$(find "$folder/work/shards" -name '*.json' | wc -l)" = 4 ] || { tail -n 5 "$folder"/task-*.log >&2; exit 1; }
"$P2P" tiles merge "$folder/work" -o "$folder/merged.pmtiles" --name single
cmp "$folder/single.pmtiles" "$folder/merged.pmtiles"
echo "four shards, one of them killed and tried again: the same archive as from one process"
