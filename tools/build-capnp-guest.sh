#!/usr/bin/env bash
# Builds KJ and Cap'n Proto RPC for guests (wasm32-wasi), once per content, and prints the folder:
# libcapnp-guest.a, and `include`, the sources' own headers.
. "$(dirname "$0")/common.sh"

# One list of flags for all C++ that ends up in a guest: cmake/guest-flags.txt.
flags=$(grep -v '^#' "$WW_ROOT/cmake/guest-flags.txt" | tr '\n' ' ')
key=$(content_key tools/build-capnp-guest.sh cmake/guest-flags.txt \
  $(cd "$WW_ROOT" && find guest/compat -type f | sort) /usr/lib/wasm32-wasi/lib{c,c++,c++abi}.a \
  -- "$CAPNP_SHA256" "$(compiler)")
installed=$WW_CACHE/capnp-guest-$key

units() {
  printf 'kj/%s\n' arena array async async-io cidr common debug encoding exception hash io list \
    memory mutex refcount source-location string string-tree table time timer units
  printf 'capnp/%s\n' any arena blob c++.capnp capability dynamic dynamic-capability layout list \
    membrane message persistent.capnp rpc rpc-twoparty rpc-twoparty.capnp rpc.capnp schema \
    schema-loader schema.capnp serialize serialize-async serialize-packed stream.capnp stringify
}

compile_unit() {  # UNIT: skips what an interrupted run has finished
  local object=$work/$(echo "$1" | tr / _).o
  [ -f "$object" ] && return
  # shellcheck disable=SC2086
  clang++-$LLVM $flags -I"$WW_ROOT/guest/compat" -include "$WW_ROOT/guest/compat/kj-wasi.h" \
    -I"$source/src" -c "$source/src/$1.c++" -o "$object.part" 2>"$object.log" \
    || { echo "cannot compile $1:"; head -n 20 "$object.log"; return 1; }
  mv "$object.part" "$object"
}

build() {
  [ -e "$installed/include/kj/async.h" ] && return   # a link into the source, which may be gone
  source=$("$WW_ROOT/tools/fetch-capnp.sh")
  work=$installed.building
  mkdir -p "$work"
  say "building Cap'n Proto for guests (about a minute, once)"
  export -f compile_unit; export source work flags LLVM WW_ROOT
  quietly "$work/build.log" bash -c 'set -o pipefail; xargs -P "$0" -I{} bash -c "compile_unit {}"' \
    "$JOBS" < <(units)
  rm -rf "$work/stage"; mkdir -p "$work/stage"
  llvm-ar-$LLVM rcs "$work/stage/libcapnp-guest.a" "$work"/*.o
  ln -s "$source/src" "$work/stage/include"
  rm -rf "$installed"
  mv "$work/stage" "$installed"
  rm -rf "$work"
}

with_lock capnp-guest build
echo "$installed"
