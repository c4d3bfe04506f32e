#!/usr/bin/env bash
# test-rust.sh: the tests of what is behind the fence, on the dependencies that were built for it.
. "$(dirname "$0")/common.sh"
cd "$WW_ROOT/rust"
run() { CARGO_TARGET_DIR="$WW_CACHE/cargo" cargo test --release --locked -j "$JOBS" -p ww-fence -p ww-engine; }
with_lock cargo run
