#!/usr/bin/env bash
# fuzz-smoke.sh BUILD_DIR [SECONDS]: each fuzz target for so long (20), from the corpora that are
# kept; and damaged components through the built program.
. "$(dirname "$0")/common.sh"

seconds=${2:-20}
for part in rpc text chain streams component car bitswap ipns; do
  found=$(mktemp -d)
  trap 'rm -rf "$found"' EXIT
  say "fuzzing $part for $seconds s"
  "$1/fuzz/fuzz-$part" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="$1/fuzz-$part-" "$found" "$WW_ROOT/fuzz/corpus/$part" >"$found/log" 2>&1 \
    || { tail -n 60 "$found/log" >&2; die "the target $part failed; its input is in $1/fuzz-$part-*"; }
  grep -E "^(Done|stat::number_of_executed_units)" "$found/log" >&2
  rm -rf "$found"
done
exec python3 "$WW_ROOT/fuzz/components.py" "$1/ww" "$WW_ROOT/examples/images/hello/main.wasm" 100
