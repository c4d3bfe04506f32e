#!/usr/bin/env bash
# bench.sh BUILD_DIR [FIGURE...]: every figure beside its ceiling from the same run; then whole runs
# of the main job. Figures: echo graft spawn streams idle kill; all of them if none is named.
. "$(dirname "$0")/common.sh"
build=$1; shift
"$build/bench/ww-bench" "$@"
python3 "$WW_ROOT/bench/start.py" "$build/ww"
