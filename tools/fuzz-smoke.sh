#!/usr/bin/env bash
# fuzz-smoke.sh BUILD_DIR: damaged components through the built program, for a short time.
. "$(dirname "$0")/common.sh"
exec python3 "$WW_ROOT/fuzz/components.py" "$1/ww" "$WW_ROOT/examples/images/hello/main.wasm" "${2:-100}"
