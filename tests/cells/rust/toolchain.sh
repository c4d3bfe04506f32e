# Sourced by build.sh: finds a Rust that compiles for WASI. Two ways, the first that can be had:
#
# rustup: the pinned toolchain has the target wasm32-wasip2. Nothing to prepare.
# debian: Debian's rustc-web, unpacked into the cache rather than installed, since as a package it
#   would push out another rustc. std is compiled from rust-web-src for wasm32-wasip1, over Debian's
#   wasi-libc; rustup's own linker for components turns the result into one (an adapter gives
#   preview 1 in terms of WASI 0.2).
#
# choose_toolchain sets `toolchain`, a text that changes whenever the output may, and is quick;
# prepare_toolchain sets `target` and `cargo_flags` and exports what cargo needs.

COMPONENT_LD_VERSION=0.5.21          # what the pinned rustup toolchain carries
DEBIAN_RUST_MINIMUM=1.96
WASI_LIBC=/usr/lib/wasm32-wasi

absent() { printf 'rust guests: %s\n' "$*" >&2; exit 77; }
has() { command -v "$1" >/dev/null; }
guests_rustc() { (cd "$WW_ROOT/tests/cells/rust" && rustc "$@"); }

choose_toolchain() {
  has cargo || absent "no cargo; install Rust (rustup reads rust-toolchain.toml)"
  case ${WW_RUST_GUESTS:-any} in
    any)    choose_rustup || choose_debian ||
            absent "no Rust for WASI ($missing); get it with: rustup target add wasm32-wasip2" ;;
    rustup) choose_rustup || absent "the target is not installed; rustup target add wasm32-wasip2" ;;
    debian) choose_debian || absent "$missing" ;;
    *)      die "WW_RUST_GUESTS is rustup or debian, not $WW_RUST_GUESTS" ;;
  esac
}

choose_rustup() {
  local libraries
  libraries=$(guests_rustc --print target-libdir --target wasm32-wasip2 2>/dev/null) || return 1
  compgen -G "$libraries/libstd-*.rlib" >/dev/null || return 1
  way=rustup toolchain="rustup, $(guests_rustc --version)"
}

choose_debian() {
  missing=
  has apt-get && has dpkg-deb || { missing="not a Debian"; return 1; }
  [ -f "$WASI_LIBC/libc.a" ] || { missing="apt-get install wasi-libc"; return 1; }
  has "wasm-ld-$LLVM" || { missing="apt-get install lld-$LLVM"; return 1; }
  debian_version=$(apt-cache show --no-all-versions rustc-web 2>/dev/null | sed -n 's/^Version: //p')
  dpkg --compare-versions "${debian_version:-0}" ge "$DEBIAN_RUST_MINIMUM" ||
    { missing="apt offers no rustc-web $DEBIAN_RUST_MINIMUM: apt-get update"; return 1; }
  way=debian
  toolchain="debian, rustc-web $debian_version, wasi-libc $(dpkg-query -Wf '${Version}' wasi-libc)"
}

# Under the lock rust-guests: it may have to be unpacked.
prepare_toolchain() {
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC
  "prepare_$way"
}

prepare_rustup() {
  target=wasm32-wasip2
  cargo_flags=(--target "$target")
}

prepare_debian() {
  debian_rust=$WW_CACHE/rust-debian-$(content_key tests/cells/rust/toolchain.sh -- "$debian_version")
  [ -d "$debian_rust" ] || unpack_debian
  find_component_ld
  target=wasm32-wasip1
  cargo_flags=(--target "$target" -Z build-std=std,panic_abort)
  export RUSTC=$debian_rust/rustc RUSTC_BOOTSTRAP=1   # build-std is unstable; nothing else here is
  local flags=(--cfg own_start
    -Clinker="$component_ld" -Clinker-flavor=wasm-ld -Clink-self-contained=no
    -Clink-arg="--wasm-ld-path=$(command -v "wasm-ld-$LLVM")" -L"$WASI_LIBC")
  export RUSTFLAGS="${flags[*]}"
}

# The compiler, its std for this machine (for build scripts), and std's source without the compiler's.
unpack_debian() {
  say "unpacking Debian's rustc-web $debian_version"
  local part=$debian_rust.building series package
  series=$(cut -d. -f1,2 <<<"$debian_version")
  rm -rf "$part"
  mkdir -p "$part"
  for package in rustc-web libstd-rust-web-dev "libstd-rust-web-$series" rust-web-src; do
    (cd "$part" && quietly "$debian_rust.log" apt-get download "$package=$debian_version")
  done
  for package in "$part"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar x -C "$part" --wildcards --no-wildcards-match-slash \
      --exclude='./usr/src/rustc-*/[!l]*' --exclude='./usr/share'
    rm "$package"
  done
  cat >"$part/rustc" <<'RUSTC'
#!/bin/sh
# Debian's rustc from where it was unpacked.
here=$(dirname "$0")/usr
LD_LIBRARY_PATH=$(echo "$here"/lib/*-linux-gnu)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$here/bin/rustc" "$@"
RUSTC
  chmod +x "$part/rustc"
  "$part/rustc" --version >/dev/null ||
    absent "Debian's rustc does not run; what it depends on: apt-get install libllvm$LLVM"
  [ -f "$part/usr/lib/rustlib/src/rust/library/Cargo.lock" ] ||
    absent "rust-web-src $debian_version does not hold std's source where cargo looks for it"
  mv "$part" "$debian_rust"
}

# rustup's toolchains carry it, whatever targets they have; else it is built.
find_component_ld() {
  local host root=$WW_CACHE/wasm-component-ld-$COMPONENT_LD_VERSION
  host=$(guests_rustc -vV | sed -n 's/^host: //p')
  component_ld=$(guests_rustc --print sysroot)/lib/rustlib/$host/bin/wasm-component-ld
  [ -x "$component_ld" ] && "$component_ld" --version | grep -qF "$COMPONENT_LD_VERSION" && return
  component_ld=$root/bin/wasm-component-ld
  [ -x "$component_ld" ] || quietly "$root.log" cargo install --locked -j "$JOBS" \
    --root "$root" --version "$COMPONENT_LD_VERSION" wasm-component-ld
}
