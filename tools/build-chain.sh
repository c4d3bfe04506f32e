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

# Anvil's own script, which is not run, would look for its binary elsewhere where npm has none.
install() {  # NODE PART
  local npm=$2/npm
  mkdir "$npm" && cp "$WW_ROOT/$sources/compile.mjs" "$npm" &&
    npm_install "$npm" $sources "$1" &&
    ln "$npm"/node_modules/@foundry-rs/anvil-linux-*/bin/anvil "$2/anvil" &&
    "$2/anvil" --version &&
    "$1/bin/node" "$npm/compile.mjs" "$WW_ROOT/$contract" "$2/Stem.json" &&
    rm -rf "$npm"
}

node=$("$WW_ROOT/tools/fetch-node.sh")
make_once chain "$built" "installing a chain (anvil) and compiling $contract (seconds, once)" \
  install "$node"
export WW_ANVIL="$built/anvil"
export WW_STEM_JSON="$built/Stem.json"
"$@"
