#!/usr/bin/env bash
# Prints the path of wasm-opt, of the Binaryen that tools/binaryen pins, fetching it first if need
# be. Debian's is too old for the exceptions that guests throw.
. "$(dirname "$0")/common.sh"

sources=tools/binaryen
node=$("$WW_ROOT/tools/fetch-node.sh")
fetched=$WW_CACHE/binaryen-$(content_key $sources/{package.json,package-lock.json} \
  tools/fetch-binaryen.sh -- "$node")

install() {  # PART
  npm_install "$1" $sources "$node" &&
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$node/bin/node" \
      "$fetched/node_modules/binaryen/bin/wasm-opt" > "$1/wasm-opt" &&
    chmod +x "$1/wasm-opt"
}

make_once binaryen "$fetched" "fetching Binaryen" install
echo "$fetched/wasm-opt"
