#!/usr/bin/env bash
# build-image-peers.sh COMMAND...: makes what tests/images compares our images with: the js packages
# that read and make them, with Node (tools/fetch-node.sh), all pinned; then runs the command, with
#   WW_JS_UNIXFS  the words that start it.
# Taken from the user's cache when the same sources were built before.
. "$(dirname "$0")/common.sh"

sources=tests/images/js
key=$(content_key $sources/{package.json,package-lock.json,unixfs.mjs} \
  tools/{build-image-peers.sh,fetch-node.sh,node.txt} -- "$(uname -m)")
built=$WW_CACHE/image-peers-$key

build() {  # PART
  cp "$WW_ROOT/$sources/unixfs.mjs" "$1" && npm_install "$1" $sources "$node"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
make_once image-peers "$built" "fetching the js packages of IPFS (half a minute, once)" build
export WW_JS_UNIXFS="$node/bin/node $built/unixfs.mjs"
"$@"
