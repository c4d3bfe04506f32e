"""The chain that tests run on: what they take for granted of it. Run by tools/build-chain.sh."""
import os
import select
import subprocess
import sys
import tempfile
import unittest

from chain import LIMIT_S, Chain, RpcError, stem_data


class FinalityTest(unittest.TestCase):
    def test_tags_count_blocks_below_the_latest(self):
        for slots in (1, 2, 5):
            with self.subTest(slots=slots), Chain(slots_in_an_epoch=slots) as chain:
                for latest in range(3 * slots):
                    self.assertEqual(chain.number(), latest)
                    self.assertEqual(chain.number("safe"), max(0, latest - slots))
                    self.assertEqual(chain.number("finalized"), max(0, latest - 2 * slots))
                    chain.mine()

    def test_a_head_is_final_when_its_block_is(self):
        with Chain(slots_in_an_epoch=2) as chain:
            stem = chain.deploy(b"first")
            with self.assertRaises(ValueError):
                chain.head(stem, "finalized")  # the contract is not final yet
            chain.mine(4)
            self.assertEqual(chain.head(stem, "finalized"), (0, b"first"))
            block = chain.set_head(stem, b"second")["blockHash"]
            chain.mine(3)
            self.assertEqual(chain.head(stem, "safe"), (1, b"second"))
            self.assertEqual(chain.head(stem, "finalized"), (0, b"first"))
            chain.mine()
            self.assertEqual(chain.hash("finalized"), block)
            self.assertEqual(chain.head(stem, "finalized"), (1, b"second"))

    def test_the_chain_takes_back_what_it_said_was_final(self):
        with Chain(slots_in_an_epoch=1) as chain:
            stem = chain.deploy(b"first")
            chain.set_head(stem, b"second")
            chain.mine(2)
            self.assertEqual(chain.head(stem, "finalized"), (1, b"second"))
            chain.reorg(3)
            self.assertEqual(chain.head(stem, "finalized"), (0, b"first"))


class ChainTest(unittest.TestCase):
    def test_a_chain_has_the_id_that_it_was_given(self):
        with Chain(chain_id=4242) as chain:
            self.assertEqual(chain.rpc("eth_chainId"), hex(4242))
            chain.set_nonce(chain.accounts[0], 7)
            receipt = chain.transact(stem_data(b"first"))
            sent = chain.rpc("eth_getTransactionByHash", receipt["transactionHash"])
            self.assertEqual((sent["chainId"], sent["nonce"]), (hex(4242), "0x7"))

    def test_blocks_come_when_asked_for_or_by_time(self):
        with Chain(mining=False) as chain:
            stem = chain.deploy(b"first")
            self.assertEqual((chain.head(stem), chain.number()), ((0, b"first"), 1))
        with Chain(block_time=1) as chain:
            self.assertEqual(chain.head(chain.deploy(b"first")), (0, b"first"))

    def test_old_blocks_are_answered_for(self):
        with Chain(slots_in_an_epoch=200) as chain:
            stem = chain.deploy(b"first")
            deployed = chain.hash()
            chain.set_head(stem, b"second")
            chain.mine(600)  # more than it keeps in memory
            self.assertEqual(chain.head(stem, deployed), (0, b"first"))
            self.assertEqual(chain.head(stem, "finalized"), (1, b"second"))
            self.assertEqual(chain.number("finalized"), 202)

    def test_what_it_says_is_kept(self):
        with Chain() as chain:
            with self.assertRaisesRegex(RpcError, "eth_nothing: .*Method not found"):
                chain.rpc("eth_nothing")
            self.assertIn("Listening on", chain.said())
        with self.assertRaisesRegex(RuntimeError, "unexpected argument '--nothing'"):
            Chain(args=["--nothing"])

    def test_it_ends_with_whoever_started_it(self):
        starts_one = "from chain import Chain; print(Chain().process.pid, flush=True); input()"
        left_over = tempfile.TemporaryDirectory()
        self.addCleanup(left_over.cleanup)
        starter = subprocess.Popen([sys.executable, "-c", starts_one], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, cwd=os.path.dirname(__file__) or ".",
                                   env={**os.environ, "TMPDIR": left_over.name})
        with starter:
            chain = os.pidfd_open(int(starter.stdout.readline()))
            self.addCleanup(os.close, chain)
            starter.kill()
        self.assertEqual(select.select([chain], [], [], LIMIT_S)[0], [chain])


if __name__ == "__main__":
    unittest.main()
