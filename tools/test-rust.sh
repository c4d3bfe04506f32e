#!/usr/bin/env bash
# test-rust.sh: the tests of what is behind the fence, on the dependencies that were built for it.
. "$(dirname "$0")/common.sh"
cd "$WW_ROOT/rust"
# Another checkout's sources may have been built last: see build-rust.sh.
run() {
  find . -type f \( -name '*.rs' -o -name '*.toml' \) -exec touch {} +
  CARGO_TARGET_DIR="$WW_CACHE/cargo" cargo test --release --locked -j "$JOBS" -p ww-fence -p ww-content -p ww-engine \
    -p ww-swarm -p ww-eth
}
with_lock cargo run
