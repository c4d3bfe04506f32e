#!/usr/bin/env bash
# build-ipfs.sh COMMAND...: makes the IPFS nodes that tests/ipfs talks to, one of Helia's parts, one
# of boxo's, and Kubo, with Go and Node (tools/fetch-node.sh) of their own, all pinned; then runs the
# command, with
#   WW_JS_IPFS  the words that start the first, WW_GO_IPFS  those of the second, WW_KUBO  of Kubo.
# Taken from the user's cache when the same sources were built before.
. "$(dirname "$0")/common.sh"

sources=tests/ipfs
key=$(content_key tests/interop/tools.txt $sources/js/{package.json,package-lock.json,peer.mjs} \
  $sources/go/{go.mod,go.sum,main.go} \
  tools/{build-ipfs.sh,fetch-node.sh,node.txt} -- "$(uname -m)")
built=$WW_CACHE/ipfs-$key

build_js() {  # PART
  mkdir "$1/js" && cp "$WW_ROOT/$sources/js/peer.mjs" "$1/js" &&
    npm_install "$1/js" $sources/js "$node"
}

go_build() {  # PART PROGRAM PACKAGE
  (cd "$WW_ROOT/$sources/go" && GOROOT="$1/tools/go" GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
    CGO_ENABLED=0 "$1/tools/go/bin/go" build -trimpath -buildvcs=false -ldflags=-s -o "$1/$2" "$3")
}

build_go() {  # PART
  pip_install "$1/tools" tests/interop/tools.txt &&
    chmod +x "$1"/tools/go/bin/* "$1"/tools/go/pkg/tool/*/* &&
    go_build "$1" go-ipfs . && go_build "$1" kubo github.com/ipfs/kubo/cmd/ipfs &&
    rm -rf "$1/tools"
}

build() {  # PART
  build_js "$1" && build_go "$1"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
make_once ipfs "$built" \
  "building the foreign IPFS nodes: Helia's and boxo's parts, and Kubo (a few minutes, once)" build
export WW_JS_IPFS="$node/bin/node $built/js/peer.mjs"
export WW_GO_IPFS="$built/go-ipfs"
export WW_KUBO="$built/kubo"
"$@"
