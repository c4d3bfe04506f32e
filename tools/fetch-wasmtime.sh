#!/usr/bin/env bash
# Prints the path of Wasmtime's own program, pinned in tools/wasmtime.txt, fetching it first if need
# be. Only the bench runs it, beside this node.
. "$(dirname "$0")/common.sh"

pinned=tools/wasmtime.txt
fetched=$WW_CACHE/wasmtime-$(content_key $pinned tools/fetch-wasmtime.sh -- "$(uname -m)")

install() {  # PART
  pip_install "$1/tools" $pinned &&
    chmod +x "$1/tools/wasmtime_cli/wasmtime" &&
    mv "$1/tools/wasmtime_cli/wasmtime" "$1/wasmtime" &&
    rm -rf "$1/tools"
}

make_once wasmtime "$fetched" "fetching Wasmtime's program" install
echo "$fetched/wasmtime"
