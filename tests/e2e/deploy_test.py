"""Deploying an image: it goes to a node that keeps it, and a transaction makes it a contract's
head. Run by tools/build-chain.sh."""
import hashlib
import json
import os
import re
import subprocess
import unittest

from kubo import Kubo, cid_text
from nodes import IMAGES, WW, ww
from stems import METRICS, StemCase, until

# Those of the first accounts of every test chain, which everybody knows.
KEYS = ("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")


def cid_of(content):
    return b"\x01\x55\x12\x20" + hashlib.sha256(content).digest()


class DeployCase(StemCase):
    def setUp(self):
        super().setUp()
        self.key = self.key_file("owner.key", KEYS[0])
        self.kubo = Kubo()
        self.addCleanup(self.kubo.close)

    def key_file(self, name, content, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def set_head(self, cid, *flags, key=None, url=None, stem=None):
        return ww("stem", "set-head", stem or self.stem, cid, "--key", key or self.key,
                  "--rpc-url", url or self.chain.http_url, *flags)

    def refused(self, done, *words):
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (125, b""), said)
        for word in words:
            self.assertIn(word, said.splitlines()[-1])


class SetHeadTest(DeployCase):
    def test_the_head_is_set_and_a_node_that_follows_has_it_as_its_next_epoch(self):
        node = self.follow()
        node.shows(0)
        cid = cid_of(b"first image")
        done = self.set_head(cid_text(cid))
        self.assertEqual((done.returncode, done.stdout), (0, b"1\n"), done.stderr)
        self.assertEqual(self.chain.head(self.stem), (1, cid))
        self.finish()
        node.shows(1)
        self.assertEqual(node.epoch()["head"], "0x" + cid.hex())

        other = cid_of(b"second image")
        done = self.set_head(cid_text(other), "-o", "json", "--chain-id", "31337")
        said = json.loads(done.stdout)
        block = self.chain.number()
        receipt = self.chain.rpc("eth_getTransactionReceipt", said.pop("transaction"))
        self.assertEqual(int(receipt["blockNumber"], 16), block)
        self.assertEqual(receipt["type"], "0x2")
        self.assertEqual(said, {"cid": cid_text(other), "contract": self.stem, "chainId": 31337,
                                "epoch": 2, "block": block})

        again = self.set_head(cid_text(other), "-o", "json")
        self.assertEqual(json.loads(again.stdout), {
            "cid": cid_text(other), "contract": self.stem, "chainId": 31337, "epoch": 2})
        self.assertEqual(self.chain.number(), block, "nothing was sent")

    def test_a_block_is_waited_for(self):
        self.chain.rpc("evm_setAutomine", False)
        cid = cid_of(b"image")
        with subprocess.Popen([WW, "stem", "set-head", self.stem, cid_text(cid), "--key", self.key,
                               "--rpc-url", self.chain.http_url],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as setting:
            until(lambda: self.chain.rpc("txpool_status")["pending"], lambda count: count == "0x1")
            self.assertIsNone(setting.poll())
            self.chain.mine()
            self.assertEqual(setting.communicate(timeout=60)[0], b"1\n")
        late = self.set_head(cid_text(cid_of(b"late")), "--wait", "1ms")
        self.refused(late, "no block has the transaction 0x", "it may still come")

    def test_who_may_not_and_what_is_not_there(self):
        cid, head = cid_text(cid_of(b"image")), self.chain.head(self.stem)
        other = self.key_file("other.key", "0x" + KEYS[1] + "\n")
        self.refused(self.set_head(cid, key=other), "takes heads from its owner alone, and the key "
                     "is that of 0x70997970c51812dc3a010c7d01b50e0d17dc79c8")
        self.refused(self.set_head(cid, "--chain-id", "1"),
                     "it is of chain 31337, and --chain-id says 1")
        self.refused(self.set_head(cid, stem="0x" + "12" * 20),
                     "there is no contract at 0x1212", "on chain 31337")
        self.refused(self.set_head(cid, url="http://127.0.0.1:1/hidden-key"),
                     "http://127.0.0.1:1: eth_chainId: ")
        self.refused(self.set_head(cid, "--max-fee", "1"), "above the limit of 1000000000")
        self.chain.rpc("anvil_setBalance", self.chain.accounts[0], "0x1")
        self.refused(self.set_head(cid), "http://127.0.0.1", "nsufficient funds")
        self.assertEqual(self.chain.head(self.stem), head)

    def test_a_key_that_is_none_or_that_others_may_read(self):
        cid = cid_text(cid_of(b"image"))
        self.refused(self.set_head(cid, key=self.path("none")), f"{self.path('none')}: cannot read")
        open_to_all = self.key_file("open.key", KEYS[0], 0o644)
        self.refused(self.set_head(cid, key=open_to_all), f"run: chmod 600 {open_to_all}")
        for content in ("", "0x12", "f" * 64):
            done = self.set_head(cid, key=self.key_file("bad.key", content))
            self.refused(done, "bad.key: ")
            self.assertNotIn("ffff", done.stderr.decode())

    def test_words_that_are_wrong(self):
        cid = cid_text(cid_of(b"image"))
        swapped = "0x5fbDB2315678afecb367f032d93F642f64180aa3"
        for words, why in (
                ((swapped, cid), "it is written 0x5FbDB2315678afecb367f032d93F642f64180aa3"),
                ((self.stem, "no-cid"), "no-cid"), ((self.stem[:-1], cid), "is no address")):
            done = ww("stem", "set-head", *words, "--key", self.key, "--rpc-url",
                      self.chain.http_url)
            self.assertEqual(done.returncode, 125)
            self.assertIn(why, done.stderr.decode())
        done = ww("stem", "set-head", self.stem, cid)
        self.assertIn("--key is required", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
