#!/usr/bin/env bash
# Grids and searches on a machine that is lent for some minutes and has a GPU, but no network and not our packages; what is done comes back as
# archives. Start it again with the same folder, and it goes on where it was.
#
#   tools/lease.sh MINUTES IN OUT COMMAND...
#   tools/lease.sh 9 in out "grid crossing --processes 12" "search search --cores 13 --device cuda"
#
# Each COMMAND is one of `modts`, without its --minutes; they run beside each other. IN holds what such a machine lacks: wheels/ (this project's
# among them), data*.t?z (folders as MODTS_DATA has them, packed so that files keep their times) and, to save their parsing, cache/ (a
# MODTS_CACHE). In OUT: a log a command, card.txt (how busy the card was), runs.tgz (unpack it in work/ and `modts publish PROFILE`), units.tgz
# (unpack it in work/ too, where a run is not whole) and search.tgz (journals of searches: unpack it in results/).
set -euo pipefail
minutes=$1 in=$(realpath "$2") out=$(realpath "$3")
shift 3
here=${LEASE:-/tmp/modts-lease}
mkdir -p "$here/data" "$here/work" "$here/mps" "$out"
if [ ! -e "$here/site" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$here/site" "$in"/wheels/*.whl
    for data in "$in"/data*.t?z; do tar xf "$data" -C "$here/data"; done
    if [ -d "$in/cache" ]; then cp -r "$in/cache" "$here/cache"; fi
    cp -r results "$here/results" # published runs are not made again, and journals go on
fi
export PYTHONPATH=$PWD:$here/site MODTS_DATA=$here/data MODTS_CACHE=$here/cache MODTS_WORK=$here/work MODTS_RESULTS=$here/results
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 TORCH_CUDAGRAPH_GC=1 # see profiles/headline.yaml
if hash nvidia-cuda-mps-control 2> /dev/null; then # the processes share the card instead of taking turns
    export CUDA_MPS_PIPE_DIRECTORY=$here/mps CUDA_MPS_LOG_DIRECTORY=$here/mps
    pgrep -f nvidia-cuda-mps-control > /dev/null || nvidia-cuda-mps-control -d
    timeout 40 python3 -c "import torch; torch.ones(1).cuda()" || unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
fi
watch=
if hash nvidia-smi 2> /dev/null; then
    nvidia-smi --query-gpu=name,utilization.gpu,memory.used --format=csv,noheader -l 15 > "$out/card.txt" &
    watch=$!
fi
limit=$(python3 -c "print(int($minutes * 60) + 20)") # a search ends its trials, for which there is no time here: their journal lets them be tried again
started=()
for command in "$@"; do
    # shellcheck disable=SC2086 # words of a command
    set -- $command
    timeout "$limit" python3 -m modts.study.cli "$@" --minutes "$minutes" > "$out/$1-$(basename "$2" .yaml).log" 2>&1 &
    started+=($!)
done
for process in "${started[@]}"; do wait "$process" || true; done
tail -n 40 "$out"/*.log
if [ -n "$watch" ]; then kill "$watch"; fi
cd "$here/work"
find . \( -path "*/runs/*" -o -path "*/predictions/*" -o -path "*/logs/*" \) -type f -print0 | tar czf "$out/runs.tgz" --null -T -
find . \( -name outcome.npz -o -path "*/baselines/*/predictions.npz" \) -print0 | tar czf "$out/units.tgz" --null -T -
tar czf "$out/search.tgz" -C "$here/results" $(cd "$here/results" && ls -d search search.csv 2> /dev/null)
