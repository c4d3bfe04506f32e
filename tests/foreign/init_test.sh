#!/usr/bin/env bash
# init_test.sh WW: `ww init --rust` lays down a project whose README's commands do what it says.
# Built with whichever Rust for WASI tests/cells/rust/toolchain.sh finds; skipped where there is none.
. "$(dirname "$0")/../../tools/common.sh"
. "$WW_ROOT/tests/cells/rust/toolchain.sh"
ww=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

choose_toolchain
with_lock rust-guests prepare_toolchain
"$ww" init --rust "$folder/first"
if [ "$way" = debian ]; then
  # What that toolchain does differently: README.md beside toolchain.sh.
  cp "$WW_ROOT/tests/cells/rust/runtime/src/start.rs" "$folder/first/src/"
  sed -i 's/^mod cell;$/mod cell;\nmod start;/' "$folder/first/src/main.rs"
  export CARGO_BUILD_TARGET=$target CARGO_UNSTABLE_BUILD_STD=std,panic_abort
fi
export CARGO_TARGET_DIR=$WW_CACHE/rust-guests WW_DATA_DIR=$folder/data

# The README's two commands, and what it says that they print.
mapfile -t commands < <(sed -n '/^```sh$/,/^```$/p' "$folder/first/README.md" | grep '^ww ')
[ "${commands[*]}" = "ww build ww run image" ] || die "other commands: ${commands[*]}"
want=$(grep '^first: ' "$folder/first/README.md")
mkdir "$folder/bin" && ln -s "$ww" "$folder/bin/ww"
cd "$folder/first"
got=$(PATH=$folder/bin:$PATH; with_lock rust-guests ${commands[0]})
[ "$got" = "$folder/first/image" ] || die "ww build printed: $got"
got=$(PATH=$folder/bin:$PATH; ${commands[1]})
[ "$got" = "$want" ] || { diff <(echo "$want") <(echo "$got"); exit 1; }
