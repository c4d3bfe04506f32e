"""A folder, `ww` in it, and images and servers for it."""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from servers import Foreign, LIMIT_S, Server, car_of

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


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

    def listening(self, server):
        self.addCleanup(server.close)
        return server

    def server(self, answer):
        return self.listening(Server(answer))

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

    def gateway_of(self, blocks, change=lambda cid, block: (200, {}, block), car=None):
        """One that has these; with `car`, what it does to a block there, it gives CAR files too."""
        def answer(path):
            cid = re.match(r"/(?:ipfs/|api/v0/block/get\?arg=)(\w+)", path).group(1)
            if cid not in blocks:
                return 404, {}, b"not here"
            if "format=car" not in path:
                return change(cid, blocks[cid])
            if car is None:
                return 406, {}, b"no such format"
            return 200, {"Content-Type": "application/vnd.ipld.car"}, b"".join(
                car_of(cid, blocks, car))
        return self.server(answer)

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
