#!/usr/bin/env bash
# build.sh [TARGET...]: sets everything up, builds the guests and then the host, in build/. Without a
# target the tests too, and their guests.
# BUILD_DIR and CMAKE_ARGS can be given in the environment. SAN=address: the host is built once more,
# in build/address, under AddressSanitizer and UndefinedBehaviorSanitizer; the guests are the same.
. "$(dirname "$0")/common.sh"

build=${BUILD_DIR:-$WW_ROOT/build}
san=${SAN:-}

"$WW_ROOT/tools/setup.sh"
capnp=$("$WW_ROOT/tools/build-capnp-host.sh")
fixtures=fixtures
[ $# = 0 ] || fixtures=
# shellcheck disable=SC2086
"$WW_ROOT/tools/build-guests.sh" "$build/guests" all $fixtures
if [ -n "$san" ]; then
  mkdir -p "$build/$san"
  ln -sfn ../guests "$build/$san/guests"
  build=$build/$san
  CMAKE_ARGS="${CMAKE_ARGS:-} -DWW_SANITIZE=$san"
fi

# Configured anew when what it was configured with has changed; CMake itself sees the rest.
stamp="$WW_ROOT $capnp ${CMAKE_ARGS:-}"
if [ ! -f "$build/build.ninja" ] || [ ! -f "$build/CMakeFiles/rules.ninja" ] ||
   [ "$(cat "$build/.configured" 2>/dev/null)" != "$stamp" ]; then
  say "configuring"
  # shellcheck disable=SC2086
  quietly "$build/configure.log" cmake --fresh -S "$WW_ROOT" -B "$build" -G Ninja \
    -DCMAKE_CXX_COMPILER=clang++-$LLVM -DCMAKE_PREFIX_PATH="$capnp" ${CMAKE_ARGS:-}
  echo "$stamp" > "$build/.configured"
fi
say "building"
ninja -C "$build" -j "$JOBS" "$@" >&2
