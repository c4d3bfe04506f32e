"""`ww image` and `ww run` among IPFS nodes that we did not write: a gateway of boxo's, and bitswap
with go-libp2p and js-libp2p. And among those that lie."""
import base64
import hashlib
import json
import os
import re
import resource
import signal
import shutil
import subprocess
import threading
import unittest

from servers import LIMIT_S, Proxy, car_of, read_car, section
from world import IMAGES, WW, IpfsCase

GO = os.environ["WW_GO_IPFS"].split()
JS = os.environ["WW_JS_IPFS"].split()
SHELL = os.path.join(IMAGES, "shell")


class GatewayTest(IpfsCase):
    def test_an_image_goes_to_a_gateway_of_anothers_make_and_back(self):
        root, car = self.make_car()
        go = self.foreign(GO)
        gateway = go.hear("gateway")[1]
        self.assertEqual(go.ask(f"load {car}", "loaded")[0], root)
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipfs/{root}"), root)
        self.image("verify")
        self.image("export", root, self.path("again.car"))
        with open(car, "rb") as one, open(self.path("again.car"), "rb") as other:
            self.assertEqual(one.read(), other.read())

    def test_a_tree_comes_from_a_gateway_of_anothers_make_in_one_answer(self):
        root, car = self.make_car()
        go = self.foreign(GO)
        gateway = self.listening(Proxy(go.hear("gateway")[1]))
        go.ask(f"load {car}", "loaded")
        done = self.ww("image", "add", "--gateway", gateway.url, root, "--log-level", "debug")
        self.assertEqual(done.stdout.decode().strip(), root)
        self.assertEqual(gateway.asked, [f"GET /ipfs/{root}?format=car&dag-scope=all&car-version=1"
                                         "&car-order=dfs&car-dups=n"])
        self.assertTrue(gateway.accepts[0].startswith("application/vnd.ipld.car"))
        self.assertNotIn("single blocks", done.stderr.decode())
        self.image("verify")
        # Another version of it: what both have comes once more at most, and not all of it.
        with open(os.path.join(self.path("tree"), "etc", "small"), "wb") as file:
            file.write(b"changed")
        other = self.image("add", self.path("tree"), data="maker")
        self.image("export", other, self.path("other.car"), data="maker")
        go.ask(f"load {self.path('other.car')}", "loaded")
        gateway.asked.clear()
        self.assertEqual(self.image("add", "--gateway", gateway.url, other), other)
        self.assertTrue(all("format=car" in path for path in gateway.asked[:1]), gateway.asked)
        self.assertLess(len(gateway.asked), 4)
        self.image("verify")

    def test_a_car_file_with_what_it_should_not_have(self):
        root, car = self.make_car()
        blocks = read_car(car)
        order = [cid for cid, block in blocks.items() if block]  # nobody is asked for the empty one
        for at in (0, len(order) // 2, len(order) - 1):
            spoilt = order[at]
            forger = self.gateway_of(
                blocks, car=lambda cid, block: b"?" + block[1:] if cid == spoilt else block)
            done = self.ww("image", "add", "--gateway", forger.url, root, data=f"forged{at}")
            self.assertIn(f"gateway {forger.url}", done.stderr.decode())
            self.assertIn(f"other bytes under {spoilt}", done.stderr.decode())
            self.assertEqual(sum("format=car" in path for path in forger.asked), 1)
            self.assertEqual(sum("format=raw" in path for path in forger.asked), len(order) - at)
            self.image("verify", data=f"forged{at}")

    def test_a_car_file_without_an_end_is_left_where_nothing_of_it_is_wanted(self):
        root, car = self.make_car()
        blocks = read_car(car)
        sent = 0

        def endless():
            nonlocal sent
            yield from car_of(root, blocks)
            while True:
                block = sent.to_bytes(4, "big") * (1 << 18)
                sent += 1
                yield section(b"\x01\x55\x12\x20" + hashlib.sha256(block).digest(), block)

        answered = threading.Event()

        def answer(path):
            try:
                yield from endless()
            finally:
                answered.set()

        gateway = self.server(lambda path: (
            200, {"Content-Type": "application/vnd.ipld.car"}, answer(path)))
        self.assertEqual(self.image("add", "--gateway", gateway.url, root), root)
        self.assertTrue(answered.wait(LIMIT_S))  # as it was hung up on
        self.assertLess(sent, 64)                # of which a socket holds some
        self.image("verify")
        image, = json.loads(self.image("ls", "-o", "json"))
        self.assertEqual(image["blocks"], len(blocks))

    def test_a_large_car_file_takes_little_more_memory_than_a_small_one(self):
        def peak(name, count):
            """What it took, in MiB, until the file had been sent."""
            os.makedirs(self.path(name))
            with open(os.path.join(self.path(name), "main.wasm"), "wb") as file:
                file.write(b"\0asm\x0d\0\x01\0")  # as a component begins
                for n in range(count):
                    file.write(n.to_bytes(4, "big") * (1 << 18))
            root = self.image("add", self.path(name), data="maker")
            self.image("export", root, self.path(name + ".car"), data="maker")
            blocks, taken = read_car(self.path(name + ".car")), []
            started = threading.Event()

            def send():
                yield from car_of(root, blocks)
                started.wait(LIMIT_S)
                with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                    taken.append(int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) >> 10)

            gateway = self.server(lambda path: (
                200, {"Content-Type": "application/vnd.ipld.car"}, send()))
            with subprocess.Popen([WW, "image", "add", "--gateway", gateway.url, root, "--data-dir",
                                   self.path("to-" + name)], stdout=subprocess.DEVNULL) as process:
                started.set()
            self.assertEqual((process.returncode, len(gateway.asked)), (0, 1))
            return taken[0]

        less, more = peak("small", 3), peak("large", 128)
        print(f"{less} MiB, and {more} MiB for 128 MiB")
        self.assertLess(more - less, 32)

    def test_a_path_within_and_a_name(self):
        root, car = self.make_car()
        go = self.foreign(GO)
        gateway = go.hear("gateway")[1]
        go.ask(f"load {car}", "loaded")
        below = self.image("add", "--gateway", gateway, f"/ipfs/{root}/etc")
        self.assertNotEqual(below, root)
        name = go.ask(f"name /ipfs/{root} 1000", "named")[0]
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipns/{name}/etc"), below)
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipns/{name}"), root)
        late = go.ask(f"name /ipfs/{root} -10", "named")[0]
        self.assertIn("has expired", self.complaint("add", "--gateway", gateway, f"/ipns/{late}"))
        self.assertIn("name of DNS",
                      self.complaint("add", "--gateway", gateway, "/ipns/example.com", code=127))

    def test_a_name_does_not_lead_back_to_what_it_was(self):
        root, car = self.make_car()
        go = self.foreign(GO)
        gateway = go.hear("gateway")[1]
        go.ask(f"load {car}", "loaded")
        name = go.ask(f"name /ipfs/{root}/etc 1000", "named")[0]
        below = self.image("add", "--gateway", gateway, f"/ipns/{name}")
        self.assertEqual(go.ask(f"rename /ipfs/{root} 1000 2", "named")[0], name)
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipns/{name}"), root)
        go.ask(f"rename /ipfs/{root}/etc 2000 1", "named")  # as who hides the newer one
        why = self.complaint("add", "--gateway", gateway, f"/ipns/{name}")
        self.assertIn(f"gateway {gateway}: the record is older", why)
        self.assertIn("its number is 1, and there was 2", why)
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipns/{name}", data="other"),
                         below)  # who has not seen the newer one
        go.ask(f"rename /ipfs/{root} 500 2", "named")
        self.assertIn("valid for longer", self.complaint("add", "--gateway", gateway,
                                                         f"/ipns/{name}"))
        go.ask(f"rename /ipfs/{root}/etc 1000 3", "named")
        self.assertEqual(self.image("add", "--gateway", gateway, f"/ipns/{name}"), below)

    def test_a_name_that_js_has_signed_from_a_gateway_or_a_node(self):
        root, car = self.make_car()
        js = self.foreign(JS)
        name, record = js.ask(f"name /ipfs/{root} 1000", "named")
        other, _ = js.ask(f"name /ipfs/{root} 1000", "named")
        raw = base64.b64decode(record)
        gateway = self.server(lambda path: (200, {}, raw))
        line = json.dumps({"Extra": record, "ID": "", "Type": 5}).encode() + b"\n"
        node = self.server(lambda path: (200, {"Content-Type": "application/json"}, line))
        self.ww("image", "add", car)
        for who in (("--gateway", gateway.url), ("--ipfs", node.url)):
            self.assertEqual(self.image("add", *who, f"/ipns/{name}"), root)
            why = self.complaint("add", *who, f"/ipns/{other}")
            self.assertIn("not signed by the name's key", why)

    def test_a_node_is_asked_by_its_rpc(self):
        root, car = self.make_car()
        node = self.gateway_of(read_car(car))
        port = node.url.rsplit(":", 1)[1]
        self.assertEqual(self.image("add", "--ipfs", f"/ip4/127.0.0.1/tcp/{port}", root), root)
        self.assertEqual(node.asked[0], f"POST /api/v0/block/get?arg={root}")

    def test_who_lies_is_named_and_the_next_is_asked(self):
        root, car = self.make_car()
        blocks = read_car(car)
        liar = self.gateway_of(blocks, lambda cid, block: (200, {}, block[:-1] + b"!"))
        page = self.gateway_of(blocks, lambda cid, block: (
            200, {"Content-Type": "text/html"}, b"<html>pay here"))
        long = self.gateway_of(blocks, lambda cid, block: (200, {}, bytes(3 << 20)))
        cut = self.gateway_of(blocks, lambda cid, block: (
            200, {"Content-Length": len(block) + 1}, block))
        away = self.gateway_of(blocks, lambda cid, block: (
            302, {"Location": "file:///etc/passwd"}, b""))
        good = self.gateway_of(blocks)
        bad = (liar, page, long, cut, away)
        flags = [word for each in (*bad, good) for word in ("--gateway", each.url)]
        done = self.ww("image", "add", *flags, root, "--log-level", "debug")
        self.assertEqual(done.stdout.decode().strip(), root)
        self.assertIn(liar.url, done.stderr.decode())
        self.image("verify")
        self.assertEqual(len(liar.asked), 2)  # for a CAR file, a block, and no more of this image
        why = self.complaint("add", *flags[:-2], root, data="other")
        for each, words in zip(bad, ("", "a page of HTML", "the limit is", "cut off", "no server")):
            self.assertIn(each.url, why)
            self.assertIn(words, why)
        # What the last two gave of it may be right, as far as it went; else no row is left.
        images = json.loads(self.image("ls", "-o", "json", data="other"))
        self.assertEqual([image for image in images if image["whole"]], [])

    def test_one_that_has_nothing(self):
        nobody = self.server(lambda path: (404, {}, b"nothing"))
        root, _ = self.make_car()
        why = self.complaint("add", "--gateway", nobody.url, root)
        self.assertIn(f"gateway {nobody.url}: HTTP 404", why)
        self.complaint("add", root)


class StoreTest(IpfsCase):
    def test_a_store_from_beginning_to_end(self):
        root, car = self.make_car()
        self.assertEqual(self.image("add", car, "--name", "app"), root)
        image, = json.loads(self.image("ls", "-o", "json"))
        self.assertEqual((image["cid"], image["name"]), (root, "app"))
        self.assertTrue(image["pinned"] and image["whole"] and not image["inUse"])
        self.assertRegex(self.image("ls"), rf"app +[\d.]+ [KM]iB +\d+ +pinned +\S+ +{root}")
        self.assertEqual(json.loads(self.image("gc", "-o", "json"))["images"], 0)
        self.assertEqual(self.image("unpin", "app"), root)
        self.assertEqual(self.image("pin", root, "--name", "other"), root)
        self.complaint("export", "app", self.path("x.car"), code=127)
        self.image("export", "other", self.path("x.car"))
        self.image("unpin", "other")
        gone = json.loads(self.image("gc", "-o", "json"))
        self.assertEqual((gone["images"], gone["bytesLeft"]), (1, 0))
        self.complaint("rm", "other", code=127)
        self.assertEqual(self.image("add", self.path("x.car"), "--no-pin"), root)
        self.assertEqual(self.image("rm", root), root)
        self.assertEqual(json.loads(self.image("ls", "-o", "json")), [])

    def test_what_cannot_be_added(self):
        _, car = self.make_car()
        with open(car, "rb") as file:
            whole = file.read()
        for name, content in (("cut.car", whole[:-1]), ("empty.car", b""), ("page.car", b"<html>")):
            with open(self.path(name), "wb") as file:
                file.write(content)
            self.assertIn(name, self.complaint("add", self.path(name)))
        self.complaint("add", self.path("none.car"), code=127)
        self.assertIn("none", self.complaint("add", self.path("none"), code=127))
        self.assertIn("no image's name", self.complaint("add", car, "--name", "a/b"))
        self.assertEqual(json.loads(self.image("ls", "-o", "json")), [])

    def test_a_file_that_lacks_a_block_is_named(self):
        root, car = self.make_car()
        with open(car, "rb") as file:
            whole = file.read()
        # Without its last block, its content id, and their length, it is a CAR file still.
        size = 36 + len(list(read_car(car).values())[-1])
        with open(self.path("less.car"), "wb") as file:
            file.write(whole[:-size - (size.bit_length() + 6) // 7])
        said = self.complaint("add", self.path("less.car"))
        self.assertIn("less.car: ", said)
        self.assertIn("cannot be had", said)
        self.assertEqual(self.image("add", car), root)

    def test_a_disk_that_is_full_leaves_the_store_as_it_was(self):
        first = self.path("first")
        os.mkdir(first)
        shutil.copy(os.path.join(IMAGES, "shell", "main.wasm"), first)
        root = self.image("add", first)
        _, car = self.make_car()
        used = max(os.path.getsize(os.path.join(self.path("data"), "images", name))
                   for name in os.listdir(os.path.join(self.path("data"), "images")))

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (used + 500_000,) * 2)

        why = self.complaint("add", car, preexec_fn=limit)
        self.assertIn("blocks.db", why)
        self.image("verify")
        self.assertEqual(json.loads(self.image("ls", "-o", "json"))[0]["cid"], root)
        self.image("add", car)


class RunTest(IpfsCase):
    def run_image(self, *words, code=0, **options):
        return self.ww("run", "--no-mdns", *words, code=code, input=b"", **options)

    def test_a_car_file_and_content_from_a_gateway(self):
        root, car = self.make_car()
        self.assertTrue(self.run_image(car).stdout.startswith(b"ww> "))
        go = self.foreign(GO)
        gateway = go.hear("gateway")[1]
        go.ask(f"load {car}", "loaded")
        done = self.run_image("--gateway", gateway, f"/ipfs/{root}", data="other")
        self.assertTrue(done.stdout.startswith(b"ww> "))
        self.run_image(f"/ipfs/{root}", data="other")  # which is kept: nobody is asked
        image, = json.loads(self.image("ls", "-o", "json", data="other"))
        self.assertFalse(image["pinned"])

    def test_content_that_nobody_has(self):
        root, _ = self.make_car()
        why = self.run_image(f"/ipfs/{root}", code=127).stderr.decode()
        self.assertIn("the image cannot be had", why)

    def test_blocks_go_to_peers_of_other_makes(self):
        root, car = self.make_car()
        blocks = read_car(car)
        self.ww("image", "add", car)
        node, address = self.begin(SHELL)
        self.assertEqual(node.stdout.read(4), b"ww> ")
        self.image("ls")  # while it runs
        for make in (GO, JS):
            peer = self.foreign(make)
            peer.ask(f"dial {address}", "dialled")
            for cid, block in blocks.items():
                size, digest = peer.ask(f"get {cid}", "got")
                self.assertEqual(int(size), len(block))
                self.assertEqual(digest, hashlib.sha256(block).hexdigest())

    def test_blocks_come_from_peers_of_other_makes(self):
        root, car = self.make_car()
        for make in (GO, JS):
            peer = self.foreign(make)
            address = peer.hear("listening")[1]
            self.assertEqual(peer.ask(f"load {car}", "loaded")[0], root)
            node, _ = self.begin("--bootstrap", address, f"/ipfs/{root}", data=make[-1][-4:])
            self.assertEqual(node.stdout.read(4), b"ww> ")
            image, = json.loads(self.image("ls", "-o", "json", data=make[-1][-4:]))
            self.assertTrue(image["whole"] and image["inUse"] and image["cid"] == root)
            why = self.complaint("rm", root, data=make[-1][-4:])
            self.assertIn("in use", why)

    def test_an_image_goes_from_node_to_node(self):
        root, car = self.make_car()
        self.ww("image", "add", car)
        giver, address = self.begin(SHELL)
        self.assertEqual(giver.stdout.read(4), b"ww> ")
        taker, _ = self.begin("--bootstrap", address, f"/ipfs/{root}", data="other")
        self.assertEqual(taker.stdout.read(4), b"ww> ")


if __name__ == "__main__":
    unittest.main()
