#!/usr/bin/env bash
# bench.sh BUILD_DIR: whole runs of the main job, cold and with compiled code cached, in
# milliseconds; beside them the ceiling, a process of ours that does nothing (`ww --version`).
. "$(dirname "$0")/common.sh"
exec python3 "$WW_ROOT/bench/start.py" "$1/ww"
