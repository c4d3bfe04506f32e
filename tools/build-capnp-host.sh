#!/usr/bin/env bash
# Builds Cap'n Proto for the host, once per content, and prints where it is installed.
. "$(dirname "$0")/common.sh"

flags="-O2 -g1 -fno-omit-frame-pointer"
key=$(content_key tools/build-capnp-host.sh /usr/include/openssl/opensslv.h -- "$CAPNP_SHA256" \
  "$(compiler)" "$(uname -m)")
installed=$WW_CACHE/capnp-host-$key

build() {
  [ -d "$installed" ] && return
  local source; source=$("$WW_ROOT/tools/fetch-capnp.sh")
  local work=$installed.building
  say "building Cap'n Proto for the host (a few minutes, once)"
  quietly "$work/configure.log" cmake -S "$source" -B "$work/build" -G Ninja \
    -DCMAKE_BUILD_TYPE=None -DCMAKE_C_COMPILER=clang-$LLVM -DCMAKE_CXX_COMPILER=clang++-$LLVM \
    -DCMAKE_CXX_STANDARD=20 -DCMAKE_CXX_FLAGS="$flags" -DBUILD_TESTING=OFF \
    -DBUILD_SHARED_LIBS=OFF -DWITH_OPENSSL=ON -DWITH_ZLIB=OFF -DWITH_FIBERS=OFF \
    -DCMAKE_INSTALL_PREFIX="$installed" -DCMAKE_INSTALL_LIBDIR=lib
  quietly "$work/build.log" ninja -C "$work/build" -j "$JOBS"
  rm -rf "$work/stage"
  DESTDIR="$work/stage" quietly "$work/install.log" ninja -C "$work/build" install
  mv "$work/stage$installed" "$installed"
  rm -rf "$work"
}

with_lock capnp-host build
echo "$installed"
