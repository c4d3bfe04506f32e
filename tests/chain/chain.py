"""A real chain for tests: anvil on a loopback port of its own, and Stem contracts on it.

Run under tools/build-chain.sh, which names the program and the compiled contract. A Chain is a
context manager; otherwise have close() called. It ends with this process in any case.

A block is named by a tag ("latest", "safe", "finalized", ...), its number, or its hash. Values of
heads are bytes, all else that comes back is as JSON-RPC has it: "0x" and hex."""
import http.client
import json
import os
import re
import subprocess
import tempfile
import threading

with open(os.environ["WW_STEM_JSON"], encoding="utf-8") as compiled:
    STEM = json.load(compiled)
METHODS = STEM["methodIdentifiers"]
ERRORS = STEM["errorSelectors"]
HEAD_UPDATED = STEM["eventTopics"]["HeadUpdated(uint64,address,bytes,bytes32)"]
GAS = hex(5_000_000)  # enough for all that is done here
LIMIT_S = 120  # for one answer: a test that would hang fails


class RpcError(Exception):
    """What was answered in place of a result. `data` is what a reverting call gave, if one did."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error}")
        self.code, self.message = error.get("code"), error.get("message")
        self.data = error.get("data")


class Reverted(Exception):
    """A transaction got into a block and did nothing."""


def encode_bytes(value):
    """The arguments of a function that takes `bytes` alone."""
    padding = bytes(-len(value) % 32)
    return ((32).to_bytes(32, "big") + len(value).to_bytes(32, "big") + value + padding).hex()


def decode_bytes(data, at):
    """The `bytes` whose offset stands at `at`."""
    start = int.from_bytes(data[at:at + 32], "big")
    length = int.from_bytes(data[start:start + 32], "big")
    value = data[start + 32:start + 32 + length]
    if len(value) != length:
        raise ValueError(f"{length} bytes at {start} of {len(data)}")
    return value


def decode_head(result):
    """What head() gave: (seq, cid). ValueError if nothing, which is what no contract gives."""
    data = bytes.fromhex(result[2:])
    if len(data) < 96:
        raise ValueError(f"no head: {result}")
    return int.from_bytes(data[:32], "big"), decode_bytes(data, 32)


def stem_data(first_head):
    return STEM["bytecode"] + encode_bytes(first_head)


def set_head_data(value):
    return METHODS["setHead(bytes)"] + encode_bytes(value)


def transaction(data, to, sender):
    made = {"from": sender, "data": data, "gas": GAS}
    return {**made, "to": to} if to else made


def is_hash(block):
    return isinstance(block, str) and len(block) == len("0x") + 64


def block_id(block):
    """As eth_call takes it."""
    if isinstance(block, int):
        return hex(block)
    return {"blockHash": block} if is_hash(block) else block


class Chain:
    """By default each transaction is mined at once, into a block of its own. With mining=False
    there are blocks when mine() is called; with block_time, every so many seconds as well. Port 0
    is any that is free. It listens when this returns. Blocks cost some 3 ms each.

    `safe` is slots_in_an_epoch blocks below `latest`, `finalized` twice as many, and block 0 where
    there are not so many. A reorganisation moves neither number, and may reach below both. It is
    never told as a log with `removed: true`: newHeads has the numbers again, with other hashes."""

    def __init__(self, *, chain_id=31337, slots_in_an_epoch=32, block_time=None, mining=True,
                 port=0, log=None, args=()):
        words = [os.environ["WW_ANVIL"], "--host", "127.0.0.1", "--port", str(port),
                 "--chain-id", str(chain_id), "--slots-in-an-epoch", str(slots_in_an_epoch),
                 "--color", "never"]
        if block_time is not None:
            words += ["--block-time", str(block_time)]
        elif not mining:
            words += ["--no-mining"]
        self.chain_id = chain_id
        self.mines = mining or block_time is not None
        self.copier = None
        # Its home: it takes no configuration from the user's, and leaves nothing there.
        self.folder = tempfile.TemporaryDirectory()
        self.log = open(log or os.path.join(self.folder.name, "log"), "w+b")
        # With --pdeathsig it ends also where this process is killed; setpriv becomes the program.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *words, *args], cwd=self.folder.name,
            env={**os.environ, "HOME": self.folder.name}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            self.port = self._listening()
            self.accounts = self.rpc("eth_accounts")
        except BaseException:
            self.close()
            raise

    def _listening(self):
        """The port that it chose. What it says after that is copied into the log."""
        found = None
        while not found:
            line = self.process.stdout.readline()
            self.log.write(line)
            if not line:
                raise RuntimeError(f"the chain ended before it listened: {self.said()}")
            found = re.match(rb"Listening on 127\.0\.0\.1:(\d+)$", line.strip())
        self.copier = threading.Thread(target=self._copy, daemon=True)
        self.copier.start()
        return int(found[1])

    def _copy(self):
        for line in self.process.stdout:
            self.log.write(line)

    def said(self):
        """All that it logged, for a test's message."""
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            return log.read()

    def close(self):
        """Kills it: a chain has nothing to put in order."""
        self.process.kill()
        self.process.wait()
        if self.copier:
            self.copier.join()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def http_url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.port}"

    def rpc(self, method, *params):
        """The result; RpcError if there is an error instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(
                "POST", "/", headers={"Content-Type": "application/json"},
                body=json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    # Transactions. A sender is one of `accounts`: the first, where none is named.

    def call(self, data, to, sender=None, block="latest"):
        """What it would give; RpcError, with the contract's reason as data, if it would revert."""
        return self.rpc("eth_call", transaction(data, to, sender or self.accounts[0]),
                        block_id(block))

    def submit(self, data, to=None, sender=None):
        """Its hash. It waits for a block, and if it reverts then, nothing here says so."""
        return self.rpc("eth_sendTransaction",
                        transaction(data, to, sender or self.accounts[0]))

    def transact(self, data, to=None, sender=None):
        """Its receipt, once it is in a block: mined here if nothing else mines. Reverted, if it did
        nothing there; call() tells why."""
        if self.mines:
            receipt = self.rpc("eth_sendTransactionSync",
                               transaction(data, to, sender or self.accounts[0]))
        else:
            submitted = self.submit(data, to, sender)
            self.mine()
            receipt = self.rpc("eth_getTransactionReceipt", submitted)
        if receipt["status"] != "0x1":
            raise Reverted(receipt)
        return receipt

    def deploy(self, first_head=b"", sender=None):
        """The address of a new Stem."""
        return self.transact(stem_data(first_head), sender=sender)["contractAddress"]

    def set_head(self, address, value, sender=None):
        """The receipt."""
        return self.transact(set_head_data(value), address, sender)

    def head(self, address, block="latest"):
        """(seq, cid) there. ValueError where there is no such contract (yet)."""
        return decode_head(self.call(METHODS["head()"], address, block=block))

    def events(self, address, first=0, last="latest"):
        """The logs of HeadUpdated in these blocks."""
        return self.rpc("eth_getLogs", {"address": address, "topics": [HEAD_UPDATED],
                                        "fromBlock": block_id(first), "toBlock": block_id(last)})

    def set_nonce(self, account, nonce):
        self.rpc("anvil_setNonce", account, hex(nonce))

    # Blocks.

    def block(self, block="latest"):
        """Its header and the hashes of its transactions; None where there is none."""
        if is_hash(block):
            return self.rpc("eth_getBlockByHash", block, False)
        return self.rpc("eth_getBlockByNumber", block_id(block), False)

    def number(self, block="latest"):
        return int(self.block(block)["number"], 16)

    def hash(self, block="latest"):
        return self.block(block)["hash"]

    def mine(self, count=1):
        self.rpc("anvil_mine", hex(count))

    def reorg(self, depth, txs=()):
        """Replaces the newest `depth` blocks by as many others. Their transactions are gone, and
        `txs` are in: pairs of a transaction (set_head_tx() makes some) and the block that has it,
        counted from 0. Finality keeps it from nothing."""
        self.rpc("anvil_reorg", depth, [list(pair) for pair in txs])

    def set_head_tx(self, address, value, sender=None):
        return transaction(set_head_data(value), address, sender or self.accounts[0])

    def rollback(self, depth):
        """Takes the newest blocks away, with nothing in their place. Subscribers hear nothing."""
        self.rpc("anvil_rollback", depth)

    def snapshot(self):
        return self.rpc("evm_snapshot")

    def revert(self, snapshot):
        """To that, once. Subscribers hear nothing."""
        if not self.rpc("evm_revert", snapshot):
            raise ValueError(f"no snapshot {snapshot}")

    def keccak(self, value):
        return self.rpc("web3_sha3", "0x" + value.hex())
