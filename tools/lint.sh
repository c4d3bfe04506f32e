#!/usr/bin/env bash
# lint.sh BUILD_DIR: what the compilers do not refuse already (C++ and guests build with -Werror).
. "$(dirname "$0")/common.sh"
for script in "$WW_ROOT"/tools/*.sh "$WW_ROOT"/.ci/run; do bash -n "$script"; done
cd "$WW_ROOT/rust"
for tool in fmt clippy; do
  cargo $tool --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}" >&2 \
    || die "cargo $tool is missing: rustup component add ${tool/fmt/rustfmt}"
done
CARGO_TARGET_DIR="$WW_CACHE/cargo-lint" cargo clippy --locked --all-targets -- -D warnings
