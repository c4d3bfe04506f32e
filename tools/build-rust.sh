#!/usr/bin/env bash
# build-rust.sh lib|componentize|engine-bench|swarm-bench OUT: builds what is behind the fence and
# puts it at OUT. `lib` is the program's one static library, `componentize` the build tool for guests,
# `engine-bench` and `swarm-bench` are ceilings for the figures.
# Taken from the user's cache when the same sources were built before, by whichever checkout.
. "$(dirname "$0")/common.sh"

what=$1 out=$2
case $what in
  lib)          package=ww-rust          product=libww_rust.a    crates=(fence content engine swarm eth lib) ;;
  engine-bench) package=ww-engine-bench  product=ww-engine-bench crates=(fence engine engine-bench) ;;
  swarm-bench)  package=ww-swarm-bench   product=ww-swarm-bench  crates=(fence swarm swarm-bench) ;;
  componentize) package=ww-componentize  product=ww-componentize crates=(componentize) ;;
  *) die "build-rust.sh: no such product: $what" ;;
esac

inputs() {
  cd "$WW_ROOT"
  printf '%s\n' rust-toolchain.toml rust/Cargo.toml rust/Cargo.lock tools/build-rust.sh
  find "${crates[@]/#/rust/}" -type f \( -name '*.rs' -o -name '*.toml' \) | sort
}
key=$(content_key $(inputs) -- "$(uname -m)")
cached=$WW_CACHE/rust-$what-$key/$product

# What no checkout has asked for in a month.
prune() { find "$WW_CACHE" -maxdepth 1 -name 'rust-*' -mtime +30 -exec rm -rf {} +; }

build() {
  [ ! -f "$cached" ] || return 0  # by who had the lock before
  prune
  local first=
  [ "$what" != lib ] || first=" (Wasmtime and libp2p take some seven minutes, the first time)"
  say "building $package$first"
  # One target folder for all checkouts: the dependencies are built once. Cargo goes by the time of
  # a source's last change, which says nothing where another checkout's was built last.
  (cd "$WW_ROOT" && inputs | xargs -d '\n' touch)
  (cd "$WW_ROOT/rust" &&
    CARGO_TARGET_DIR="$WW_CACHE/cargo" cargo build --release --locked -j "$JOBS" -p "$package")
  local part; part=$(mktemp -d "$WW_CACHE/rust-part.XXXXXX")
  cp "$WW_CACHE/cargo/release/$product" "$part/"
  [ "$what" = lib ] && strip --strip-debug "$part/$product"
  rm -rf "$(dirname "$cached")"
  mv "$part" "$(dirname "$cached")"
}

# Who has it waits for nobody that builds.
[ -f "$cached" ] || with_lock cargo build
touch "$(dirname "$cached")"
mkdir -p "$(dirname "$out")"
cmp -s "$cached" "$out" || { cp "$cached" "$out.part" && mv "$out.part" "$out"; }
# Ninja's rule for the library asks for a result newer than its inputs; for the tool that would build
# every component anew.
if [ "$what" = lib ]; then touch "$out"; fi
