#!/usr/bin/env bash
# Everything that vosbench wants to know of a GPU, in one call of ten minutes. Results: one JSON file a step in OUT.
#
#   OUT=/tmp/gpu bash benchmarks/gpu/run.sh                                    # one H200, 570 s
#   OUT=/tmp/gpu DEVICE=cpu SECONDS_IN_ALL=60 SMALL=1 bash benchmarks/gpu/run.sh    # the same steps, tiny, without a GPU
#
# A step that fails or takes too long leaves a line in OUT/failed.txt and does not stop the others. The last step,
# a training, has what is left of the time.
set -u
cd "$(dirname "$0")/../.."
OUT=${OUT:?give the folder of the results, OUT=FOLDER}
DEVICE=${DEVICE:-cuda}
LIMIT=${SECONDS_IN_ALL:-570}
PYTHON=${PYTHON:-python3}
START=$(date +%s)
mkdir -p "$OUT"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" VOSBENCH_CACHE="${VOSBENCH_CACHE:-$(mktemp -d)}" PYTHONUNBUFFERED=1

left() { echo $((LIMIT - ($(date +%s) - START))); }

step() { # NAME SHARE: at most SHARE percent of the whole time, and never more than what is left
    local name=$1 most=$((LIMIT * $2 / 100))
    [ "$most" -lt "$(left)" ] || most=$(left)
    if [ "$most" -lt 1 ]; then echo "$name: no time left" >>"$OUT/failed.txt"; return; fi
    timeout --signal=INT --kill-after=15 "$most" "$PYTHON" benchmarks/gpu/measure.py "$name" --device "$DEVICE" \
        --seconds "$most" --out "$OUT" ${SMALL:+--small} ||
        echo "$name: status $? within $most s" >>"$OUT/failed.txt"
}

rm -f "$OUT/failed.txt"
step parity 15
step throughput 22
step compile 13
step online 10
step loading 15
step training 100
echo "$(($(date +%s) - START)) s in all" >&2
[ ! -e "$OUT/failed.txt" ] || { cat "$OUT/failed.txt" >&2; exit 1; }
