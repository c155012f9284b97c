#!/usr/bin/env bash
# Map tiles as a Slurm job array. Plan first, then submit, then merge:
#
#   p2p tiles plan region.tif --work /shared/region.work --model runs/town
#   sbatch --array=0-15 scripts/slurm_tiles.sh /shared/region.work
#   p2p tiles merge /shared/region.work -o region.pmtiles
#
# A task that was killed or ran out of time is put back by Slurm and goes on with the blocks that are left; 42 means that no
# retry will help.
#SBATCH --job-name=p2p-tiles
#SBATCH --cpus-per-task=2
#SBATCH --mem=3G
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@60
set -u
${P2P:-p2p} tiles run "$1" --shard auto --progress json
code=$?
# Whatever may pass, and a request to end, is tried again.
if [ $code = 75 ] || [ $code = 143 ] || [ $code = 137 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit $code
