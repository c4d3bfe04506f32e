#!/usr/bin/env bash
# test.sh BUILD_DIR: every test. Ends with ctest's own summary.
. "$(dirname "$0")/common.sh"
exec ctest --test-dir "$1" --output-on-failure -j "$JOBS" --no-tests=error
