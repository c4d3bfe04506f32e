"""`ww image` and `ww run` among IPFS nodes that we did not write: a gateway of boxo's, and bitswap
with go-libp2p and js-libp2p. And among those that lie."""
import base64
import hashlib
import http.server
import json
import os
import re
import resource
import signal
import shutil
import subprocess
import tempfile
import threading
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
GO = os.environ["WW_GO_IPFS"].split()
JS = os.environ["WW_JS_IPFS"].split()
SHELL = os.path.join(IMAGES, "shell")
LIMIT_S = 120  # after which a process is ended, and what waits for it fails
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class Foreign:
    """An IPFS node that does what it is told, a line at a time."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        encoding="utf-8")
        self.watchdog = threading.Timer(LIMIT_S, self.process.kill)
        self.watchdog.start()

    def close(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def hear(self, *names):
        for line in self.process.stdout:
            if line.split()[0] in names:
                return line.split()
        raise AssertionError(f"no {names} from {self.process.args}")

    def ask(self, command, answer):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        words = self.hear(answer, "failed")
        if words[0] == "failed":
            raise AssertionError(f"{command}: {' '.join(words)}")
        return words[1:]


class Server:
    """One that answers each path as it is told: (status, headers, body)."""

    def __init__(self, answer):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append(f"{self.command} {self.path}")
                status, headers, body = answer(self.path)
                self.send_response(status)
                for name, value in {"Connection": "close", "Content-Length": len(body),
                                    **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class IpfsCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def foreign(self, command):
        node = Foreign(*command)
        self.addCleanup(node.close)
        return node

    def server(self, answer):
        server = Server(answer)
        self.addCleanup(server.close)
        return server

    def ww(self, *words, data="data", code=0, **options):
        env = {k: v for k, v in os.environ.items() if k != "IPFS_API"}
        done = subprocess.run([WW, *words, "--data-dir", self.path(data)], capture_output=True,
                              timeout=LIMIT_S, env=env, **options)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return done

    def image(self, *words, **options):
        return self.ww("image", *words, **options).stdout.decode().strip()

    def complaint(self, *words, code=125, **options):
        return self.ww("image", *words, code=code, **options).stderr.decode()

    def make_tree(self):
        """A folder with files of many sizes, one of them of more blocks than one."""
        tree = self.path("tree")
        os.makedirs(os.path.join(tree, "etc", "deep"))
        shutil.copy(os.path.join(IMAGES, "shell", "main.wasm"), tree)
        for name, size in {"etc/empty": 0, "etc/small": 100, "etc/deep/large": 3_500_000}.items():
            with open(os.path.join(tree, name), "wb") as out:
                out.write(hashlib.shake_256(name.encode()).digest(size))
        return tree

    def make_car(self):
        """Its content id, and a .car file of it."""
        root = self.image("add", self.make_tree(), data="maker")
        self.image("export", root, self.path("app.car"), data="maker")
        return root, self.path("app.car")

    def blocks(self, car):
        """What is in a .car file that we wrote, by SHA-256, so as to serve it."""
        with open(car, "rb") as file:
            rest = file.read()

        def varint():
            nonlocal rest
            value = shift = 0
            while True:
                byte, rest = rest[0], rest[1:]
                value |= (byte & 0x7f) << shift
                shift += 7
                if not byte & 0x80:
                    return value

        found = {}
        size = varint()
        rest = rest[size:]
        while rest:
            size = varint()
            section, rest = rest[:size], rest[size:]
            cid, block = section[:36], section[36:]
            text = "b" + base64.b32encode(cid).decode().lower().rstrip("=")
            found[text] = block
        return found

    def gateway_of(self, blocks, change=lambda cid, block: (200, {}, block)):
        def answer(path):
            cid = re.match(r"/(?:ipfs/|api/v0/block/get\?arg=)(\w+)", path).group(1)
            return change(cid, blocks[cid]) if cid in blocks else (404, {}, b"not here")
        return self.server(answer)


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
                      self.complaint("add", "--gateway", gateway, "/ipns/example.com"))

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
        node = self.gateway_of(self.blocks(car))
        port = node.url.rsplit(":", 1)[1]
        self.assertEqual(self.image("add", "--ipfs", f"/ip4/127.0.0.1/tcp/{port}", root), root)
        self.assertEqual(node.asked[0], f"POST /api/v0/block/get?arg={root}")

    def test_who_lies_is_named_and_the_next_is_asked(self):
        root, car = self.make_car()
        blocks = self.blocks(car)
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
        self.assertEqual(len(liar.asked), 1)  # and no more, of this image
        why = self.complaint("add", *flags[:-2], root, data="other")
        for each, words in zip(bad, ("", "a page of HTML", "the limit is", "cut off", "no server")):
            self.assertIn(each.url, why)
            self.assertIn(words, why)
        image, = json.loads(self.image("ls", "-o", "json", data="other"))
        self.assertFalse(image["whole"])

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
        self.assertEqual((gone["images"], gone["left"]), (1, 0))
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
        self.complaint("add", self.path("none.car"))
        self.assertIn("none", self.complaint("add", self.path("none"), code=127))
        self.assertIn("no image's name", self.complaint("add", car, "--name", "a/b"))
        self.assertEqual(json.loads(self.image("ls", "-o", "json")), [])

    def test_a_file_that_lacks_a_block_is_named(self):
        root, car = self.make_car()
        with open(car, "rb") as file:
            whole = file.read()
        # Without its last block, its content id, and their length, it is a CAR file still.
        size = 36 + len(list(self.blocks(car).values())[-1])
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

    def begin(self, *words, data="data"):
        """A node that runs, and the address at which it is reached."""
        node = subprocess.Popen(
            [WW, "run", "--no-mdns", "--listen", LOOPBACK, "--data-dir", self.path(data), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        watchdog = threading.Timer(LIMIT_S, node.kill)
        watchdog.start()

        def end():
            watchdog.cancel()
            node.kill()
            node.wait()
            for pipe in (node.stdin, node.stdout, node.stderr):
                pipe.close()

        self.addCleanup(end)
        for line in node.stderr:
            if found := re.search(r"listening address=(\S+)", line.decode()):
                return node, found.group(1)
        self.fail("the node ended before it listened")

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
        blocks = self.blocks(car)
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
