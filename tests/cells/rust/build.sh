#!/usr/bin/env bash
# build.sh OUT_DIR: puts rust-pid0.wasm, rust-child.wasm and rust-files.wasm there. Exits with 77,
# and one line that says what is missing, on a machine that has no way to build them. README.md tells
# the two ways; WW_RUST_GUESTS=rustup|debian insists on one.
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/common.sh"
. "$WW_ROOT/tests/cells/rust/toolchain.sh"

out=${1:?usage: build.sh OUT_DIR}
here=tests/cells/rust
guests=(rust-child rust-files rust-pid0)   # the child first: pid0 embeds it
target_dir=$WW_CACHE/rust-guests

inputs() {
  (cd "$WW_ROOT" &&
    printf '%s\n' capnp/*.capnp rust-toolchain.toml \
      guest/templates/rust/connection.rs "$here"/{Cargo.toml,Cargo.lock,build.sh,toolchain.sh} &&
    find "$here"/{wit,runtime,child,files,pid0} -type f | LC_ALL=C sort)
}

build() {
  [ -d "$cached" ] && return
  say "building the Rust guests with $toolchain"
  CAPNP_PREFIX=$("$WW_ROOT/tools/build-capnp-host.sh")
  export CAPNP_PREFIX CARGO_TARGET_DIR=$target_dir
  prepare_toolchain
  rm -rf "$cached.building"
  mkdir -p "$cached.building"
  for guest in "${guests[@]}"; do
    (cd "$WW_ROOT/$here" && quietly "$target_dir/$guest.log" \
      cargo build --release --locked -j "$JOBS" "${cargo_flags[@]}" -p "$guest")
    cp "$target_dir/$target/release/$guest.wasm" "$cached.building/"
    [ "$guest" = rust-child ] || continue
    export RUST_CHILD_WASM=$cached.building/rust-child.wasm
  done
  mv "$cached.building" "$cached"
}

choose_toolchain
key=$(content_key $(inputs) -- "$toolchain" "$CAPNP_VERSION" "$(uname -m)")
cached=$WW_CACHE/rust-guests-$key
with_lock rust-guests build

mkdir -p "$out"
for guest in "${guests[@]}"; do
  cmp -s "$cached/$guest.wasm" "$out/$guest.wasm" && continue
  cp "$cached/$guest.wasm" "$out/$guest.wasm.part"
  mv "$out/$guest.wasm.part" "$out/$guest.wasm"
done
