#!/usr/bin/env bash
# test.sh BUILD_DIR: every test; with SAN=address those of the host's own code, under sanitizers.
# Ends with ctest's own summary.
. "$(dirname "$0")/common.sh"
exec ctest --test-dir "$1${SAN:+/$SAN}" --output-on-failure -j "$JOBS" --no-tests=error
