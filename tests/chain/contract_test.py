"""contracts/Stem.sol, on a chain. Run by tools/build-chain.sh."""
import unittest

from chain import ERRORS, HEAD_UPDATED, METHODS, Chain, Reverted, RpcError
from chain import encode_bytes, set_head_data, stem_data

MAX_HEAD_BYTES = 1024  # abi_test.py holds it to the contract's and the follower's
LENGTHS = (0, 1, 31, 32, 33, 63, 64, 65, MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES)


def value_of(length):
    return bytes(at % 251 for at in range(length))


def word(value):
    return "0x" + value.to_bytes(32, "big").hex()


class StemCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain()
        cls.addClassCleanup(cls.chain.close)

    def setUp(self):
        self.owner, self.other = self.chain.accounts[:2]

    def get(self, name, address):
        return int(self.chain.call(METHODS[name], address), 16)

    def check_event(self, event, seq, value):
        self.assertEqual(event["topics"], [HEAD_UPDATED, word(seq), word(int(self.owner, 16)),
                                           self.chain.keccak(value)])
        self.assertEqual(event["data"], "0x" + encode_bytes(value))
        self.assertIs(event["removed"], False)

    def check_refused(self, address, value, error, sender=None):
        """By that reason, also where it gets into a block; and nothing is different then."""
        before = self.chain.head(address), len(self.chain.events(address))
        with self.assertRaises(RpcError) as refused:
            self.chain.call(set_head_data(value), address, sender)
        self.assertEqual(refused.exception.data, ERRORS[error])
        with self.assertRaises(Reverted):
            self.chain.set_head(address, value, sender)
        self.assertEqual((self.chain.head(address), len(self.chain.events(address))), before)


class DeployTest(StemCase):
    def test_the_first_head_is_numbered_0_and_told_to_nobody(self):
        for length in LENGTHS:
            with self.subTest(length=length):
                value = value_of(length)
                receipt = self.chain.transact(stem_data(value))
                address = receipt["contractAddress"]
                self.assertEqual(receipt["logs"], [])
                self.assertEqual(self.chain.events(address), [])
                self.assertEqual(self.chain.head(address), (0, value))
                self.assertEqual(self.get("seq()", address), 0)

    def test_the_owner_is_who_deployed_it(self):
        for account in (self.owner, self.other):
            address = self.chain.deploy(b"first", sender=account)
            self.assertEqual(self.get("owner()", address), int(account, 16))

    def test_a_first_head_that_is_too_long_is_refused(self):
        with self.assertRaises(RpcError) as refused:
            self.chain.call(stem_data(value_of(MAX_HEAD_BYTES + 1)), None)
        self.assertEqual(refused.exception.data, ERRORS["TooLong()"])

    def test_ether_and_calls_of_what_there_is_none_of_are_refused(self):
        address = self.chain.deploy(b"first")
        for data in ("0x", "0x00000000", METHODS["setHead(bytes)"]):
            with self.assertRaises(RpcError):
                self.chain.call(data, address)
        with self.assertRaises(RpcError):
            self.chain.rpc("eth_call", {"from": self.owner, "to": address, "value": "0x1",
                                        "data": set_head_data(b"second")}, "latest")


class SetHeadTest(StemCase):
    def setUp(self):
        super().setUp()
        self.stem = self.chain.deploy(b"first")

    def test_each_head_is_numbered_one_above_the_last_and_told(self):
        values = [value_of(length) for length in LENGTHS]
        values += reversed(values[:-1])  # longer to shorter: nothing of the longer is left over
        for seq, value in enumerate(values, 1):
            receipt = self.chain.set_head(self.stem, value)
            self.assertEqual(self.chain.head(self.stem), (seq, value))
            self.assertEqual(self.get("seq()", self.stem), seq)
            self.assertEqual(len(receipt["logs"]), 1)
            self.check_event(receipt["logs"][0], seq, value)
        told = self.chain.events(self.stem)
        self.assertEqual(len(told), len(values))
        for seq, (event, value) in enumerate(zip(told, values), 1):
            self.check_event(event, seq, value)

    def test_only_the_owner_sets_it(self):
        self.check_refused(self.stem, b"second", "NotOwner()", sender=self.other)
        self.check_refused(self.stem, b"first", "NotOwner()", sender=self.other)
        self.check_refused(self.stem, value_of(2000), "NotOwner()", sender=self.other)
        self.chain.set_head(self.stem, b"second")
        self.check_refused(self.stem, b"third", "NotOwner()", sender=self.other)

    def test_a_value_that_stands_already_is_refused(self):
        self.check_refused(self.stem, b"first", "NoChange()")
        for length in LENGTHS:
            value = value_of(length)
            self.chain.set_head(self.stem, value)
            self.check_refused(self.stem, value, "NoChange()")
        self.assertEqual(self.chain.set_head(self.stem, b"first")["status"], "0x1")

    def test_a_value_that_differs_in_its_last_byte_or_length_is_another(self):
        for seq, value in enumerate((b"firsT", b"firsT\0", b"firsT"), 1):
            self.chain.set_head(self.stem, value)
            self.assertEqual(self.chain.head(self.stem), (seq, value))

    def test_a_value_that_no_node_follows_is_refused(self):
        for length in (MAX_HEAD_BYTES + 1, 4096):
            self.check_refused(self.stem, value_of(length), "TooLong()")

    def test_one_block_may_have_several(self):
        with Chain(mining=False) as chain:
            stem = chain.deploy(b"first")
            for value in (b"a", b"b", b"a"):
                chain.submit(set_head_data(value), stem)
            self.assertEqual(chain.head(stem), (0, b"first"))
            chain.mine()
            self.assertEqual(chain.head(stem), (3, b"a"))
            told = chain.events(stem)
            self.assertEqual([int(event["topics"][1], 16) for event in told], [1, 2, 3])
            self.assertEqual(len({event["blockHash"] for event in told}), 1)


class ReorgTest(StemCase):
    def setUp(self):
        super().setUp()
        self.stem = self.chain.deploy(b"first")

    def test_what_a_reorganisation_removes_was_never_set(self):
        for depth in range(1, 6):
            with self.subTest(depth=depth):
                before = self.chain.head(self.stem)
                receipt = self.chain.set_head(self.stem, b"removed %d" % depth)
                gone, height = receipt["blockHash"], self.chain.number()
                self.chain.mine(depth - 1)
                self.assertEqual(self.chain.head(self.stem, gone)[0], before[0] + 1)
                self.chain.reorg(depth)
                self.assertEqual(self.chain.head(self.stem), before)
                self.assertEqual(self.chain.number(), height + depth - 1)
                self.assertNotEqual(self.chain.hash(height), gone)
                self.assertIsNone(self.chain.block(gone))
                with self.assertRaises(RpcError):
                    self.chain.head(self.stem, gone)
                self.chain.set_head(self.stem, b"stays %d" % depth)
                self.assertEqual(self.chain.head(self.stem), (depth, b"stays %d" % depth))
        self.assertEqual(len(self.chain.events(self.stem)), 5)

    def test_another_value_in_its_place_has_its_number(self):
        self.chain.set_head(self.stem, b"one")
        self.chain.mine(2)
        self.chain.reorg(3, [(self.chain.set_head_tx(self.stem, b"other"), 1)])
        self.assertEqual(self.chain.head(self.stem), (1, b"other"))
        told = self.chain.events(self.stem)
        self.assertEqual([int(event["blockNumber"], 16) for event in told],
                         [self.chain.number() - 1])
        self.check_event(told[0], 1, b"other")

    # One Stem each: the same that is sent anew after that may be taken, by anvil, for what it mined
    # before, and then is in no block.
    def test_what_is_taken_back_without_a_replacement(self):
        self.chain.set_head(self.stem, b"one")
        self.chain.rollback(1)
        self.assertEqual(self.chain.head(self.stem), (0, b"first"))

    def test_what_a_snapshot_takes_back(self):
        snapshot = self.chain.snapshot()
        self.chain.set_head(self.stem, b"one")
        self.chain.revert(snapshot)
        self.assertEqual(self.chain.head(self.stem), (0, b"first"))


if __name__ == "__main__":
    unittest.main()
