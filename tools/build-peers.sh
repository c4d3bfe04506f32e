#!/usr/bin/env bash
# build-peers.sh COMMAND...: installs what the bench runs beside this node, all pinned, and runs the
# command, with
#   WW_NODE, WW_WASMTIME, WW_WORKERD, WW_LUNATIC   the programs,
#   WW_NODE_MODULES                                where workerd's schema is,
#   WW_PEER_WASM, WW_LUNATIC_WASM                  what they run: bench/peers/*.c.
# Lunatic is built from its crates, once; where that fails WW_NO_LUNATIC says why instead. Taken from
# the user's cache when the same was installed before.
. "$(dirname "$0")/common.sh"

LUNATIC=0.13.2
sources=bench/peers
key=$(content_key $sources/{package.json,package-lock.json,cell.c,lunatic.c} \
  tools/build-peers.sh -- "$(uname -m)" "$(compiler)")
built=$WW_CACHE/peers-$key
lunatic=$WW_CACHE/lunatic-$LUNATIC-$(uname -m)

wasm() {  # NAME OUT
  clang-$LLVM --target=wasm32-wasi -Wno-deprecated --no-wasm-opt -O2 "$WW_ROOT/$sources/$1.c" -o "$2"
}

# workerd's own script, which is not run, would look for its binary elsewhere where npm has none.
install() {  # NODE PART
  npm_install "$2" $sources "$1" &&
    ln "$2"/node_modules/@cloudflare/workerd-linux-*/bin/workerd "$2/workerd" &&
    "$2/workerd" --version &&
    wasm cell "$2/cell.wasm" &&
    wasm lunatic "$2/lunatic.wasm"
}

# With what fits of its dependencies: those of its own lock are older than this Rust takes. A failure
# is kept as well.
build_lunatic() {  # PART
  (cd "$WW_ROOT" && CARGO_TARGET_DIR="$1/target" cargo install -j "$JOBS" --root "$1" \
    --version $LUNATIC lunatic-runtime) || true
  rm -rf "$1/target"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
make_once peers "$built" "installing workerd" install "$node"
make_once lunatic "$lunatic" "building lunatic $LUNATIC (ten minutes or so, once)" build_lunatic
export WW_NODE="$node/bin/node" WW_WORKERD="$built/workerd" WW_NODE_MODULES="$built/node_modules"
export WW_PEER_WASM="$built/cell.wasm" WW_LUNATIC_WASM="$built/lunatic.wasm"
WW_WASMTIME=$("$WW_ROOT/tools/fetch-wasmtime.sh")
export WW_WASMTIME
if [ -x "$lunatic/bin/lunatic" ]; then
  export WW_LUNATIC="$lunatic/bin/lunatic"
else
  WW_NO_LUNATIC="lunatic $LUNATIC: $(grep -m 1 '^error' "$lunatic/log" || echo "it was not built")"
  export WW_NO_LUNATIC
fi
"$@"
