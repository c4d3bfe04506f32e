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

# A plain program, over an image with files: it reads them, cannot change them, and has /tmp.
mkdir -p "$data/image/etc"
echo "good morning" > "$data/image/etc/greeting"
# More than a pipe holds, and less than 128 KiB: at such a read that toolchain's adapter asserts,
# under Wasmtime's own program too.
head -c 100000 /dev/zero > "$data/image/etc/large"
got=$("$ww" run --data-dir "$data" "$data/image" "$out/rust-files.wasm")
want="greeting: good morning
in the image: etc/ main.wasm
large: 100000 bytes
create /etc/greeting: Err(PermissionDenied)
create /new: Err(PermissionDenied)
open /etc/gone: Err(NotFound)
written: one TWO three
left: 3 bytes
in /tmp: a/ moved
in /tmp: copy"
[ "$got" = "$want" ] || { diff <(echo "$want") <(echo "$got"); exit 1; }
