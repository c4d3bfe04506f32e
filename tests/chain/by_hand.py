"""A chain to try epochs on by hand: a block each second on a port of this machine (8545, unless one
is given), and a Stem contract, whose heads are the lines that stdin gives. It ends with stdin.

Run by tools/build-chain.sh, as docs/epochs.md shows."""
import sys

from chain import Chain

PORT = 8545

# Of the first account of every test chain, which deploys the contract.
OWNER_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    with Chain(port=port, slots_in_an_epoch=1, block_time=1) as chain:
        stem = chain.deploy(b"first")
        print(f"build/ww run --stem {stem} --rpc-url {chain.http_url} "
              "examples/images/default -- watch", flush=True)
        print(f"the owner's key, which everybody knows: {OWNER_KEY}", file=sys.stderr, flush=True)
        for line in sys.stdin:
            value = line.rstrip("\n").encode()
            block = int(chain.set_head(stem, value)["blockNumber"], 16)
            print(f"head 0x{value.hex()} is in block {block}; two later it is final", flush=True)


if __name__ == "__main__":
    main()
