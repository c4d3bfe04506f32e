#!/usr/bin/env bash
# Finds or installs what the project needs from outside: compilers, tools, libraries. Quick when all
# is there. On Debian and Ubuntu it installs through apt (with sudo when not root); elsewhere it
# says by name what is missing. `setup.sh lint` also finds what only `make lint` needs.
. "$(dirname "$0")/common.sh"

purpose=${1:-build}
RUST=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$WW_ROOT/rust-toolchain.toml")

# What to look for, and the Debian package that has it.
needed() {
  cat <<EOF
command:clang++-$LLVM clang-$LLVM
command:ld.lld-$LLVM lld-$LLVM
command:llvm-ar-$LLVM llvm-$LLVM
command:cmake cmake
command:ninja ninja-build
command:curl curl
file:/etc/ssl/certs/ca-certificates.crt ca-certificates
command:git git
command:python3 python3
python:pip python3-pip
command:ld binutils
command:cc gcc
command:c++ g++
command:flock util-linux
command:ip iproute2
command:make make
file:/usr/include/openssl/evp.h libssl-dev
file:/usr/include/CLI/CLI.hpp libcli11-dev
file:/usr/include/histedit.h libedit-dev
file:/usr/include/prometheus/text_serializer.h prometheus-cpp-dev
file:/usr/include/sqlite3.h libsqlite3-dev
file:/usr/include/benchmark/benchmark.h libbenchmark-dev
file:/usr/lib/llvm-$LLVM/lib/clang/$LLVM/lib/linux libclang-rt-$LLVM-dev
file:/usr/lib/llvm-$LLVM/lib/clang/$LLVM/lib/wasi libclang-rt-$LLVM-dev-wasm32
file:/usr/lib/wasm32-wasi/libc.a wasi-libc
file:/usr/lib/llvm-$LLVM/include/wasm32-wasi/c++ libc++-$LLVM-dev-wasm32
file:/usr/share/doc/libc++abi-$LLVM-dev-wasm32 libc++abi-$LLVM-dev-wasm32
EOF
  if [ "$purpose" = lint ]; then echo "command:clang-tidy-$LLVM clang-tidy-$LLVM"; fi
}

missing_packages() {
  local thing package
  while read -r thing package; do
    case $thing in
      command:*) command -v "${thing#*:}" >/dev/null || echo "$package" ;;
      python:*) python3 -c "import ${thing#*:}" 2>/dev/null || echo "$package" ;;
      file:*) [ -e "${thing#*:}" ] || echo "$package" ;;
    esac
  done < <(needed) | sort -u
}

install_packages() {
  local packages; packages=$(missing_packages)
  [ -z "$packages" ] && return
  if ! command -v apt-get >/dev/null; then
    die "this is no Debian or Ubuntu. What is missing here, by Debian's names: $(echo $packages). \
The paths at the top of tools/setup.sh say where each is looked for."
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    die "not root, and there is no sudo. As root: apt-get install --no-install-recommends $(echo $packages)"
  fi
  say "installing with apt: $(echo $packages)"
  as_root apt-get update -q >&2 || say "apt-get update failed; trying with what it knows"
  # shellcheck disable=SC2086
  as_root apt-get install -y -q --no-install-recommends $packages >&2 \
    || die "apt could not install: $(echo $packages). If it does not know clang-$LLVM, add the repository of apt.llvm.org for your release and try again."
  packages=$(missing_packages)
  [ -z "$packages" ] || die "still missing after the installation: $(echo $packages)"
}

install_rust() {
  if ! command -v rustup >/dev/null && ! rust_is_right; then
    say "installing Rust $RUST with rustup, into the home directory"
    local script; script=$(mktemp)
    curl -fsSL --connect-timeout 15 -o "$script" https://sh.rustup.rs \
      || die "Rust $RUST is missing and rustup could not be fetched. Install Rust $RUST (https://rustup.rs) and try again."
    sh "$script" -y -q --no-modify-path --profile minimal --default-toolchain "$RUST" >&2
    rm -f "$script"
  fi
  if command -v rustup >/dev/null && ! rustup toolchain list | grep "^$RUST-" >/dev/null; then
    say "installing Rust $RUST"
    rustup toolchain install "$RUST" --profile minimal >&2 \
      || die "Rust $RUST could not be installed. By hand: rustup toolchain install $RUST"
  fi
  rust_is_right || die "Rust $RUST is needed; this is $(cd "$WW_ROOT" && cargo --version 2>&1 | head -n 1)\
${RUSTUP_TOOLCHAIN:+ (RUSTUP_TOOLCHAIN asks for it)}"
}

rust_is_right() { command -v cargo >/dev/null && (cd "$WW_ROOT" && cargo --version) 2>/dev/null | grep -q "^cargo $RUST "; }

install_packages
install_rust
