#!/usr/bin/env bash
# A profile's grid on a machine that is lent for some minutes and has a GPU, but no network and not our packages; what is done comes back as two
# archives. Start it again with the same folder, and it goes on where it was.
#
#   tools/lease.sh PROFILE MINUTES IN OUT [PROCESSES]
#
# IN holds what such a machine lacks: wheels/ (this project's among them), data.tgz (folders as MODTS_DATA has them, packed so that files keep
# their times) and, to save their parsing, cache/ (a MODTS_CACHE). In OUT: grid.log, card.txt (how busy the card was), runs.tgz (unpack it in
# work/ and `modts publish PROFILE`) and units.tgz (unpack it in work/ too, where a run is not whole).
set -euo pipefail
profile=$1 minutes=$2 in=$(realpath "$3") out=$(realpath "$4") processes=${5:-15}
here=${LEASE:-/tmp/modts-lease}
mkdir -p "$here/data" "$here/work" "$here/mps" "$out"
if [ ! -e "$here/site" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$here/site" "$in"/wheels/*.whl
    tar xzf "$in/data.tgz" -C "$here/data"
    if [ -d "$in/cache" ]; then cp -r "$in/cache" "$here/cache"; fi
fi
export PYTHONPATH=$PWD:$here/site MODTS_DATA=$here/data MODTS_CACHE=$here/cache MODTS_WORK=$here/work PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
export TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 TORCH_CUDAGRAPH_GC=1 # see profiles/headline.yaml
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
python3 -m modts.study.cli grid "$profile" --minutes "$minutes" --processes "$processes" 2>&1 | tee "$out/grid.log" || true
if [ -n "$watch" ]; then kill "$watch"; fi
cd "$here/work"
find . -path "./*$(basename "$profile" .yaml)*" \( -path "*/runs/*" -o -path "*/predictions/*" -o -path "*/logs/*" \) -type f -print0 |
    tar czf "$out/runs.tgz" --null -T -
find . \( -name outcome.npz -o -path "*/baselines/*/predictions.npz" \) -print0 | tar czf "$out/units.tgz" --null -T -
