#!/usr/bin/env bash
# build-guests.sh [BUILD_DIR [TARGET...]]: the guests, their components and the images in
# examples/images/ (the target `all`; `fixtures` are those of the tests); and beside BUILD_DIR the
# folder sdk, with which `ww build` makes guests elsewhere.
. "$(dirname "$0")/common.sh"

build=${1:-$WW_ROOT/build/guests}
shift $(($# > 0))
capnp_host=$("$WW_ROOT/tools/build-capnp-host.sh")
capnp_guest=$("$WW_ROOT/tools/build-capnp-guest.sh")
mkdir -p "$build"
"$WW_ROOT/tools/build-rust.sh" componentize "$build/ww-componentize"
wasm_opt=$("$WW_ROOT/tools/fetch-binaryen.sh")

flags=$(content_key cmake/guest-flags.txt cmake/wasm32-wasi.cmake --)
stamp="$WW_ROOT $capnp_host $capnp_guest $wasm_opt $flags"
if [ ! -f "$build/build.ninja" ] || [ "$(cat "$build/.configured" 2>/dev/null)" != "$stamp" ]; then
  say "configuring the guests"
  quietly "$build/configure.log" cmake --fresh -S "$WW_ROOT/guest" -B "$build" -G Ninja \
    -DCMAKE_TOOLCHAIN_FILE="$WW_ROOT/cmake/wasm32-wasi.cmake" \
    -DWW_CAPNP_HOST="$capnp_host" -DWW_CAPNP_GUEST="$capnp_guest" \
    -DWW_COMPONENTIZE="$(cd "$build" && pwd)/ww-componentize" -DWW_WASM_OPT="$wasm_opt"
  echo "$stamp" > "$build/.configured"
fi
say "building the guests"
ninja -C "$build" -j "$JOBS" "$@" >&2
quietly "$build/sdk.log" cmake --install "$build" --prefix "$(cd "$build/.." && pwd)/sdk"
