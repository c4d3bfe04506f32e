"""Deploying an image: it goes to a node that keeps it, and a transaction makes it a contract's
head. Run by tools/build-chain.sh."""
import hashlib
import json
import os
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

NO_DIRECTORY = b"\0asm\x0d\0\1\0no directory"  # to `ww push` it is a component


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

    def push(self, *flags, image=os.path.join(IMAGES, "hello")):
        return ww("push", image, "--to", self.kubo.url, "--data-dir", self.data, *flags)

    def to_stem(self):
        return ("--stem", self.stem, "--key", self.key, "--rpc-url", self.chain.http_url)

    def refused(self, done, *words, code=125):
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (code, b""), said)
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


class PushTest(DeployCase):
    def test_an_image_is_pushed_and_then_is_the_head(self):
        done = self.push()
        self.assertEqual(done.returncode, 0, done.stderr)
        cid = done.stdout.decode().strip()
        self.assertEqual(self.kubo.roots, [cid])
        self.assertIn(cid, self.kubo.blocks)
        self.assertEqual(self.chain.head(self.stem)[0], 0)

        node = self.follow()
        node.shows(0)
        said = json.loads(self.push("-o", "json", *self.to_stem()).stdout)
        self.assertEqual((said["cid"], said["to"], said["epoch"]), (cid, self.kubo.url, 1))
        seq, head = self.chain.head(self.stem)
        self.assertEqual((seq, cid_text(head)), (1, cid))
        self.finish()
        node.shows(1)

    def test_a_car_file_is_checked_and_pushed(self):
        cid = self.push().stdout.decode().strip()
        car = self.path("hello.car")
        done = ww("image", "export", cid, car, "--data-dir", self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.kubo.roots.clear()
        self.assertEqual(self.push(image=car).stdout.decode().strip(), cid)
        self.assertEqual(self.kubo.roots, [cid])
        with open(car, "rb") as file:
            content = bytearray(file.read())
        content[-1] ^= 1
        with open(car, "wb") as file:
            file.write(content)
        self.refused(self.push(image=car), "hello.car")
        self.assertEqual(self.kubo.roots, [cid], "nothing was sent")

    def test_what_a_node_does_instead_is_told_and_the_head_stays(self):
        head = self.chain.head(self.stem)

        def fails(*words, flags=()):
            self.refused(self.push(*flags, *self.to_stem()), self.kubo.url, *words)
            self.assertEqual(self.chain.head(self.stem), head)

        self.kubo.refusal = (500, b'{"Message":"disk full","Code":0,"Type":"error"}')
        fails("HTTP 500: disk full")
        self.kubo.refusal = (403, b"403 - Forbidden")
        fails("HTTP 403: `403 - Forbidden`")
        self.kubo.refusal = (200, b"<html>a gateway</html>")
        fails("the import failed")
        self.kubo.refusal, self.kubo.says = None, "bafkqaaa"
        fails("it says that it imported bafkqaaa, and the image is ")
        self.kubo.says, self.kubo.stalls = None, True
        fails("the node took nothing more", flags=("--timeout", "100ms"))
        self.kubo.close()
        fails("it cannot be reached")

    def test_a_key_that_cannot_be_read_is_told_before_anything_is_pushed(self):
        done = self.push("--stem", self.stem, "--key", self.path("none"), "--rpc-url",
                         self.chain.http_url)
        self.refused(done, "none: cannot read this key")
        self.assertEqual(self.kubo.requests, [])

    def test_what_is_no_image(self):
        self.refused(self.push(image=self.path("none")), "none: no such image", code=127)
        os.mkdir(self.path("empty"))
        self.refused(self.push(image=self.path("empty")), "main.wasm")
        text = os.path.join(os.environ["WW_ROOT"], "README.md")
        self.refused(self.push(image=text), "README.md: main.wasm is no component")
        self.refused(ww("image", "add", text, "--data-dir", self.data), "is no component")
        done = ww("image", "ls", "-o", "json", "--data-dir", self.data)
        self.assertEqual([image for image in json.loads(done.stdout) if image["pinned"]], [])
        self.assertEqual(self.kubo.requests, [])

    def test_words_that_do_not_go_together(self):
        for flags, why in ((("--stem", self.stem), "--stem takes the key"),
                           (("--stem", self.stem, "--key", self.key), "--stem takes a provider"),
                           (("--key", self.key), "--key is for --stem"),
                           (("--to", "ftp://node"), "is no address of a Kubo node's RPC")):
            done = ww("push", os.path.join(IMAGES, "hello"), *flags)
            self.assertEqual((done.returncode, done.stdout), (125, b""))
            self.assertIn(why, done.stderr.decode())
        self.assertEqual(self.kubo.requests, [])


class CircleTest(DeployCase):
    """From a folder to nodes that follow the contract, and boot what its head names."""

    def setUp(self):
        super().setUp()
        self.project = self.path("circle")
        self.assertEqual(ww("init", self.project).returncode, 0)

    def build(self, saying="hello"):
        """The image's folder, whose pid0 has this echoed."""
        with open(os.path.join(self.project, "etc/greeting"), "w", encoding="utf-8") as file:
            file.write(saying + "\n")
        done = subprocess.run([WW, "build", self.project], capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()

    def deploy(self, saying):
        """The block that has the head, and the content id."""
        done = self.push("-o", "json", *self.to_stem(), image=self.build(saying))
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        return said["block"], said["cid"]

    def node(self, name, *flags, urls=(), words=("serve",)):
        return self.follow("--gateway", self.kubo.url, *METRICS, *flags, urls=urls, image="",
                           words=words, data=self.path(name))

    def boots(self, node, epoch, saying):
        node.out.until(f"^circle: epoch {epoch}: Echo: {saying}$")
        self.assertEqual(until(lambda: node.get("/readyz"), lambda got: got[0] == 200)[1],
                         "ready\n")
        self.assertEqual(node.ww("exec", stdin=b"exit 5\n").returncode, 5)

    def waits(self, node, *reasons):
        """That nothing runs, and that all who ask are told why."""
        for reason in reasons:
            until(lambda: node.get("/readyz"), lambda got, reason=reason: (
                got[0] == 503 and reason in got[1]))
            done = node.ww("exec", stdin=b"")
            self.assertEqual(done.returncode, 125)
            self.assertIn("epochPending: ", done.stderr.decode())
            self.assertIn(reason, done.stderr.decode())

    def test_both_nodes_boot_each_image_that_is_deployed(self):
        nodes = [self.node("one"), self.node("two", urls=(self.chain.ws_url,))]
        for node in nodes:
            self.waits(node, "the image of epoch 0 cannot be run", "is no content id")
        self.deploy("first")
        self.finish()
        for node in nodes:
            self.boots(node, 1, "first")
        block, _ = self.deploy("second")
        for node in nodes:
            node.sees(block)
            self.assertEqual(node.epoch()["seq"], 1)
        self.finish()
        for node in nodes:
            self.boots(node, 2, "second")
            self.assertEqual(node.metric("ww_cells"), 1, "the old pid0 is gone")

        # Where the image cannot be had authority ends all the same.
        self.kubo.hides = True
        client = self.talk_to("--data-dir", nodes[0].data)
        self.deploy("third")
        self.finish()
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"staleEpoch: issued 2, current 3", client.stderr.read())
        for node in nodes:
            self.waits(node, "the image of epoch 3 cannot be had", self.kubo.url)
            until(lambda node=node: node.metric("ww_cells"), lambda cells: cells == 0)
        self.kubo.hides = False
        for node in nodes:
            self.boots(node, 3, "third")

        # One that starts anew has it, and asks nobody.
        nodes[0].kill()
        self.kubo.requests.clear()
        self.kubo.hides = True
        self.boots(self.node("one"), 3, "third")
        self.assertEqual(self.kubo.requests, [])

    def test_an_image_is_there_before_its_head_is_final(self):
        self.is_there_before(self.chain.ws_url)

    def test_an_image_is_there_before_its_head_is_final_by_http_too(self):
        self.is_there_before(self.chain.http_url)

    def is_there_before(self, url):
        node = self.node("node", urls=(url,))
        self.deploy("first")
        self.finish()
        self.boots(node, 1, "first")
        node.log.until("the image of this epoch runs epoch=1")
        self.kubo.requests.clear()
        _, cid = self.deploy("second")
        until(lambda: self.kubo.requests, lambda asked: any(cid in path for path in asked))
        self.assertEqual(node.epoch()["seq"], 1)
        node.log.until("an image is here ahead of its epoch")
        self.kubo.hides = True
        self.finish()
        self.boots(node, 2, "second")

    def test_an_image_that_does_not_run_is_told_of_and_the_next_one_runs(self):
        node = self.node("node")
        folder = self.path("bad")
        os.mkdir(folder)
        with open(os.path.join(folder, "main.wasm"), "wb") as file:
            file.write(b"\0asm\x0d\0\1\0no component")  # as `ww push` looks at it, it is one
        self.assertEqual(self.push(*self.to_stem(), image=folder).returncode, 0)
        self.finish()
        self.waits_for_good(node)
        self.deploy("good")
        self.finish()
        self.boots(node, 2, "good")

    def test_what_is_no_image_is_told_of_and_the_next_one_runs(self):
        node = self.node("node")
        folder = self.path("bad")
        os.mkdir(folder)
        with open(os.path.join(folder, "main.wasm"), "wb") as file:
            file.write(NO_DIRECTORY)
        self.assertEqual(self.push(image=folder).returncode, 0)
        self.assertEqual(self.set_head(cid_text(cid_of(NO_DIRECTORY))).returncode, 0)
        self.finish()
        self.waits(node, "the image of epoch 1 cannot be run", "an image is a directory")
        self.deploy("good")
        self.finish()
        self.boots(node, 2, "good")

    def test_a_volume_that_cannot_be_had_is_told_of_before_anything_is_fetched(self):
        done = ww("run", "--data-dir", self.data, "--stem", self.stem, "--rpc-url",
                  self.chain.http_url, "--gateway", self.kubo.url, "-v",
                  f"{self.path('gone')}:/x")
        self.refused(done, "cannot be opened as a folder")
        self.assertEqual(self.kubo.requests, [])

    def waits_for_good(self, node):
        until(lambda: node.get("/readyz"), lambda got: (
            got[0] == 503 and "the image of epoch 1 cannot be run: not a component" in got[1]))
        self.assertIsNone(node.process.poll())

    def test_a_pid0_that_ends_by_itself_ends_the_node(self):
        node = self.node("node", words=())
        self.deploy("once")
        self.finish()
        node.out.until("^circle: epoch 1: Echo: once$")
        self.assertEqual(node.wait(), 0)

    def test_with_an_image_of_its_own_a_node_stays_with_it(self):
        node = self.follow("--gateway", self.kubo.url)
        node.shows(0)
        self.deploy("other")
        self.finish()
        node.shows(1)
        self.assertFalse([path for path in self.kubo.requests if path.startswith("/ipfs/")])


if __name__ == "__main__":
    unittest.main()
