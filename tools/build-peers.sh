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

# No package's own scripts: workerd's would look for its binary elsewhere where npm has none.
install() {  # PART NODE
  cp "$WW_ROOT/$sources"/{package.json,package-lock.json} "$1" &&
    (cd "$1" && PATH="$2/bin:$PATH" node "$2/lib/node_modules/npm/bin/npm-cli.js" ci \
      --ignore-scripts --no-audit --no-fund) &&
    ln "$1"/node_modules/@cloudflare/workerd-linux-*/bin/workerd "$1/workerd" &&
    "$1/workerd" --version &&
    wasm cell "$1/cell.wasm" &&
    wasm lunatic "$1/lunatic.wasm"
}

build() {
  if [ -d "$built" ]; then touch "$built"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name 'peers-*' -mtime +30 -exec rm -rf {} +
  say "installing workerd"
  local part; part=$(mktemp -d "$WW_CACHE/peers-part.XXXXXX")
  quietly "$part/log" install "$part" "$1"
  mv "$part" "$built"
}

# With what fits of its dependencies: those of its own lock are older than this Rust takes. A failure
# is kept as well.
build_lunatic() {
  if [ -d "$lunatic" ]; then touch "$lunatic"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name 'lunatic-*' -mtime +30 -exec rm -rf {} +
  say "building lunatic $LUNATIC (minutes, once)"
  local part; part=$(mktemp -d "$WW_CACHE/lunatic-part.XXXXXX")
  (cd "$WW_ROOT" && CARGO_TARGET_DIR="$part/target" cargo install -j "$JOBS" \
    --root "$part" --version $LUNATIC lunatic-runtime) > "$part/log" 2>&1 || true
  rm -rf "$part/target"
  mv "$part" "$lunatic"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
with_lock peers build "$node"
with_lock lunatic build_lunatic
export WW_NODE="$node/bin/node" WW_WORKERD="$built/workerd" WW_NODE_MODULES="$built/node_modules"
export WW_PEER_WASM="$built/cell.wasm" WW_LUNATIC_WASM="$built/lunatic.wasm"
WW_WASMTIME=$("$WW_ROOT/tools/fetch-wasmtime.sh")
export WW_WASMTIME
if [ -x "$lunatic/bin/lunatic" ]; then
  export WW_LUNATIC="$lunatic/bin/lunatic"
else
  WW_NO_LUNATIC="lunatic $LUNATIC: $(grep -m 1 '^error' "$lunatic/log" || echo "not built")"
  export WW_NO_LUNATIC
fi
"$@"
