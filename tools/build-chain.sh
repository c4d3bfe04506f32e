#!/usr/bin/env bash
# build-chain.sh COMMAND...: makes what the tests on a chain need, all pinned: anvil, which is the
# chain, and contracts/Stem.sol, compiled by solc; then runs the command, with
#   WW_ANVIL  the program, WW_STEM_JSON  what the compiler made (tests/chain/npm/compile.mjs says).
# Taken from the user's cache when the same sources were built before.
. "$(dirname "$0")/common.sh"

sources=tests/chain/npm
contract=contracts/Stem.sol
key=$(content_key $sources/{package.json,package-lock.json,compile.mjs} $contract \
  tools/{build-chain.sh,fetch-node.sh,node.txt} -- "$(uname -m)")
built=$WW_CACHE/chain-$key

# No package's own scripts: anvil's would look for its binary elsewhere where npm has none.
install() {  # PART NODE
  mkdir "$1/npm" &&
    cp "$WW_ROOT/$sources"/{package.json,package-lock.json,compile.mjs} "$1/npm" &&
    (cd "$1/npm" && PATH="$2/bin:$PATH" node "$2/lib/node_modules/npm/bin/npm-cli.js" ci \
      --ignore-scripts --no-audit --no-fund) &&
    ln "$1"/npm/node_modules/@foundry-rs/anvil-linux-*/bin/anvil "$1/anvil" &&
    "$1/anvil" --version &&
    "$2/bin/node" "$1/npm/compile.mjs" "$WW_ROOT/$contract" "$1/Stem.json"
}

build() {
  if [ -d "$built" ]; then touch "$built"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name 'chain-*' -mtime +30 -exec rm -rf {} +
  local node part; node=$("$WW_ROOT/tools/fetch-node.sh")
  say "installing a chain (anvil) and compiling $contract (seconds, once)"
  part=$(mktemp -d "$WW_CACHE/chain-part.XXXXXX")
  quietly "$part/log" install "$part" "$node"
  rm -rf "$part/npm"
  mv "$part" "$built"
}

with_lock chain build
export WW_ANVIL="$built/anvil"
export WW_STEM_JSON="$built/Stem.json"
"$@"
