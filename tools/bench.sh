#!/usr/bin/env bash
# bench.sh BUILD_DIR [FIGURE...]: every figure beside its ceiling from the same run; then whole runs
# of the main job. Figures: echo quota graft spawn streams idle busy kill membrane epoch; all of them,
# and those between nodes, if none is named.
. "$(dirname "$0")/common.sh"
build=$1; shift
"$build/bench/ww-bench" "$@"
if [ $# = 0 ]; then
  "$WW_ROOT/tools/build-rust.sh" swarm-bench "$build/bench/ww-swarm-bench"
  "$build/bench/ww-bench-network" "$build/bench/ww-swarm-bench"
  python3 "$WW_ROOT/bench/latency.py" "$build/ww" "$build" "$WW_ROOT"
fi
python3 "$WW_ROOT/bench/start.py" "$build/ww"
