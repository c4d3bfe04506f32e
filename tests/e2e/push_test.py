"""`ww push` to real nodes: to one of them, that is told to keep the image, and to the swarm."""
import json
import os
import shutil
import signal
import subprocess
import unittest

from nodes import IMAGES, LOOPBACK, WW, NodeCase, cell, ww

CHOIR = os.path.join(IMAGES, "choir")


class PushCase(NodeCase):
    def setUp(self):
        super().setUp()
        self.key = self.keygen("me.key")
        self.there = self.path("there")

    def push(self, to, *flags, image=CHOIR, key="me.key"):
        return ww("push", image, "--to", to, "--data-dir", self.data, "--identity",
                  self.path(key), *flags)

    def images(self, data):
        done = ww("image", "ls", "--data-dir", data, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return {image["cid"]: image for image in json.loads(done.stdout)}

    def pushed(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()

    def refused(self, done, *words):
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (125, b""), said)
        for word in words:
            self.assertIn(word, said.splitlines()[-1])

    def node(self, *flags, data=None):
        """One that listens: the process, and its address."""
        node = self.start("--listen", LOOPBACK, *flags, data=data or self.there)
        return node, self.logged(node, r"listening address=(\S+)")

    def runs(self, data, cid, *flags):
        done = subprocess.run([WW, "run", "--no-mdns", "--data-dir", data, *flags, f"/ipfs/{cid}"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"child-echo: Echo: image\n", done.stdout)


class PeerTest(PushCase):
    def test_a_node_that_allows_it_fetches_and_pins_the_image(self):
        node, address = self.node("--allow", f"{self.key},node")
        cid = self.pushed(self.push(address))
        kept = self.images(self.there)[cid]
        self.assertTrue(kept["pinned"] and kept["whole"], kept)
        self.assertEqual(kept["bytes"], self.images(self.data)[cid]["bytes"])

        # Once more: it has all of it.
        said = json.loads(self.pushed(self.push(address, "-o", "json")))
        self.assertEqual(said, {"cid": cid, "to": address, "blocks": kept["blocks"],
                                "bytes": kept["bytes"]})
        self.put_away(node)
        self.runs(self.there, cid)

    def test_the_operator_there_takes_it_back_while_the_node_runs(self):
        node, address = self.node("--allow", f"{self.key},node")
        cid = self.pushed(self.push(address))
        for command in ("unpin", "rm"):
            done = ww("image", command, cid, "--data-dir", self.there)
            self.assertEqual(done.returncode, 0, done.stderr)
            image = self.images(self.there).get(cid)
            self.assertEqual(image and image["pinned"], False if command == "unpin" else None)
        self.assertIsNone(node.poll())

    def test_one_key_pushes_again_and_again(self):
        _, address = self.node("--allow", f"{self.key},node")
        for i in range(3):
            folder = self.path(str(i))
            shutil.copytree(CHOIR, folder)
            with open(os.path.join(folder, "data"), "wb") as file:
                file.write(os.urandom(3 << 20))
            cid = self.pushed(self.push(address, image=folder))
            self.assertTrue(self.images(self.there)[cid]["pinned"])

    def test_a_node_gives_peers_half_of_its_store_to_pin(self):
        other = self.keygen("other.key")
        _, address = self.node("--allow", f"{self.key},node", "--allow", f"{other},node",
                               "--store-size", "16m")
        for name in ("one", "two"):
            shutil.copytree(CHOIR, self.path(name))
            with open(os.path.join(self.path(name), "data"), "wb") as file:
                file.write(os.urandom(5 << 20))
        cid = self.pushed(self.push(address, image=self.path("one")))
        self.refused(self.push(address, image=self.path("two"), key="other.key"), address,
                     "peers may pin up to 8388608", "ww image unpin")
        self.assertEqual(self.pushed(self.push(address, image=self.path("one"))), cid)

    def test_a_node_is_named_by_its_peer_id_alone_where_the_local_one_knows_it(self):
        _, address = self.node("--allow", f"{self.key},node")
        self.start("--listen", LOOPBACK)
        done = ww("peer", "connect", "--data-dir", self.data, address)
        self.assertEqual(done.returncode, 0, done.stderr)
        peer = address.rpartition("/")[2]
        cid = self.pushed(self.push(peer, "--dial-timeout", "60"))
        self.assertTrue(self.images(self.there)[cid]["pinned"])

    def test_a_key_that_the_operator_did_not_allow_or_not_with_the_node(self):
        _, address = self.node("--allow", self.key)
        self.refused(self.push(address), address, "the right to the node itself",
                     "--allow KEY,node")
        self.keygen("other.key")
        self.refused(self.push(address, key="other.key"), address, "unauthorized",
                      "--identity FILE")
        self.assertEqual(self.images(self.there), {})

    def test_a_node_without_a_network_has_nobody_to_fetch_from(self):
        node = self.start("--rpc", "127.0.0.1:0", "--allow", f"{self.key},node", data=self.there)
        address = self.logged(node, r"serving RPC address=(\S+)")
        self.refused(self.push(address), address, "this node keeps no images")

    def test_nobody_is_there_or_somebody_else(self):
        node, address = self.node("--allow", f"{self.key},node")
        place, _, peer = address.rpartition("/")
        stranger = self.keygen("stranger.key")
        self.refused(self.push(f"{place}/{stranger}"), stranger, peer)
        self.put_away(node)
        self.refused(self.push(address), address, "refused")
        for wrong in ("/ip4/127.0.0.1/tcp/1/p2p/none", "/p2p/none"):
            done = self.push(wrong)
            self.assertEqual(done.returncode, 125)
            self.assertEqual(done.stderr.decode().splitlines()[-1].count(wrong), 1, done.stderr)

    def test_a_node_that_takes_nothing_any_more_is_given_up(self):
        node, address = self.node("--allow", f"{self.key},node")
        image = self.path("large")
        os.mkdir(image)
        shutil.copy(cell("cell-files"), os.path.join(image, "main.wasm"))
        with open(os.path.join(image, "data"), "wb") as file:
            file.write(os.urandom(64 << 20))
        pushing = subprocess.Popen(
            [WW, "push", image, "--to", address, "--data-dir", self.data, "--identity",
             self.path("me.key"), "--timeout", "2s", "--log-level", "debug"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, pushing)
        self.logged(pushing, "(linked to the node)")
        node.send_signal(signal.SIGSTOP)
        said = pushing.communicate(timeout=120)[1].decode().splitlines()[-1]
        node.send_signal(signal.SIGCONT)
        self.assertEqual(pushing.returncode, 125)
        self.assertRegex(said, "(neither took anything nor got on with it for 2s|"
                               "link to the node is gone)")


class SwarmTest(PushCase):
    def test_what_is_pinned_here_is_given_to_peers(self):
        cid = self.pushed(self.push("swarm"))
        self.assertTrue(self.images(self.data)[cid]["pinned"])
        _, address = self.node(data=self.data)
        self.runs(self.there, cid, "--listen", LOOPBACK, "--bootstrap", address)
        # A node that runs already offers what is pushed meanwhile.
        other = self.pushed(self.push("swarm", "-o", "json", image=self.other_image()))
        said = json.loads(other)
        self.assertEqual(said["to"], "swarm")
        self.runs(self.path("third"), said["cid"], "--listen", LOOPBACK, "--bootstrap", address)

    def other_image(self):
        image = self.path("other")
        subprocess.run(["cp", "-r", CHOIR, image], check=True)
        with open(os.path.join(image, "notes"), "w", encoding="utf-8") as file:
            file.write("another one")
        return image


if __name__ == "__main__":
    unittest.main()
