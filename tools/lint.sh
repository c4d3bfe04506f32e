#!/usr/bin/env bash
# lint.sh BUILD_DIR: mistakes that the compilers let pass (C++ and guests build with -Werror; the
# style that a machine can check is a test, tests/tools/style_test.py).
. "$(dirname "$0")/common.sh"
cd "$WW_ROOT"
for script in tools/*.sh .ci/run; do bash -n "$script"; done

say "rustfmt and clippy"
for tool in fmt clippy; do
  cargo $tool --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}" >&2 \
    || die "cargo $tool is missing: rustup component add ${tool/fmt/rustfmt}"
done
(cd rust && cargo fmt --check)
(cd rust && CARGO_TARGET_DIR="$WW_CACHE/cargo-lint" cargo clippy --locked --all-targets -- -D warnings)

say "clang-tidy"
tools/setup.sh lint
log=$1/clang-tidy.log
git ls-files 'src/*.c++' 'bench/*.c++' 'tests/*.c++' ':!tests/cells' |
  xargs -P "$JOBS" -n 4 clang-tidy-$LLVM -p "$1" --quiet > "$log" 2>&1 \
  || { grep -A 4 -E '(error|warning):' "$log" >&2; die "clang-tidy found mistakes; all it says is in $log"; }
say "nothing found"
