#!/usr/bin/env bash
# rust_test.sh WW OUT_DIR: builds the Rust guests and has the program run the main job with them.
set -euo pipefail
ww=$1 out=$2
"$(dirname "$0")/../cells/rust/build.sh" "$out"
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

got=$("$ww" run --data-dir "$data" "$out/rust-pid0.wasm")
want="rust-pid0: grafted in epoch 0, on a host with a peer id of 38 bytes
rust-child: Echo: hello
rust-child: Echo: hello again
rust-pid0: child exited with 0"
[ "$got" = "$want" ] || { diff <(echo "$want") <(echo "$got"); exit 1; }

# As an older generation of guests does: both park with their requests unsent, and need the nudge.
got=$("$ww" run --data-dir "$data" "$out/rust-pid0.wasm" -- poll-once)
[ "$got" = "$want" ] || { diff <(echo "$want") <(echo "$got"); exit 1; }
