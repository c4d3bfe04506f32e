"""A disk that is full while an image is fetched: a clear error, and the store as it was."""
import hashlib
import itertools
import json
import os
import shutil
import sys
import unittest

from servers import read_car
from world import IMAGES, IpfsCase

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from disks import Disk, MIB  # noqa: E402  pylint: disable=wrong-import-position

LARGE = 24 * MIB  # of the image that is fetched
FREE = 64         # MiB that a store leaves free
FILL_AT = 10      # the block at which something else fills the disk


class DiskTest(IpfsCase):
    def make(self, name, size):
        """An image in another data folder, and its blocks."""
        folder = self.path(name)
        os.mkdir(folder)
        shutil.copy(os.path.join(IMAGES, "shell", "main.wasm"), folder)
        with open(os.path.join(folder, "content"), "wb") as file:
            file.write(hashlib.shake_256(name.encode()).digest(size))
        root = self.image("add", folder, data="maker")
        car = self.path(f"{name}.car")
        self.image("export", root, car, data="maker")
        return root, read_car(car)

    def begin(self, mebibytes):
        self.disk = Disk(self, self.path("data"), f"size={mebibytes}m")
        self.before, _ = self.make("before", MIB)
        shutil.copy(self.path("before.car"), self.disk.path("before.car"))
        self.on_disk("image", "add", self.path("before.car"))
        self.root, self.blocks = self.make("large", LARGE)

    def on_disk(self, *words, code=0):
        done = self.disk.run(os.environ["WW"], *words, "--data-dir", self.path("data"))
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def asks(self, *words):
        """The same as json."""
        return json.loads(self.on_disk("image", *words, "-o", "json").stdout)

    def commands(self, gateway):
        source = (f"/ipfs/{self.root}", "--gateway", gateway.url)
        return (("image", "add", *source), ("run", "--no-mdns", *source))

    def refusal(self, *command):
        return self.on_disk(*command, code=127 if command[0] == "run" else 125).stderr.decode()

    def is_as_it_was(self):
        """All that was there is, and of what was not, what came is right and can be collected."""
        done = self.disk.run(os.environ["WW"], "image", "verify", "-o", "json", "--data-dir",
                             self.path("data"))
        check = json.loads(done.stdout)
        self.assertEqual(check["damaged"], [])
        self.assertIn(check["incomplete"], ([], [self.root]))
        pinned = [image["cid"] for image in self.asks("ls") if image["pinned"]]
        self.assertEqual(pinned, [self.before])
        # One of which nothing was written before the disk was full is not told of, and goes too.
        self.assertIn(self.asks("gc")["images"], (len(check["incomplete"]), 1))
        self.on_disk("image", "verify")
        self.assertEqual([image["cid"] for image in self.asks("ls")], [self.before])
        exported = self.on_disk("image", "export", self.before, "-").stdout
        with open(self.path("before.car"), "rb") as file:
            self.assertEqual(exported, file.read())

    def test_what_a_store_leaves_free(self):
        self.begin(FREE + 12)
        for command in self.commands(self.gateway_of(self.blocks)):
            why = self.refusal(*command)
            self.assertIn(f"{self.path('data')}/images: the disk is nearly full: of ", why)
            self.assertIn(f"{FREE} MiB stay so", why)
            self.assertIn("make room on it, or remove images (`ww image ls`, `ww image rm`, ", why)
            self.is_as_it_was()
        self.disk.remount(f"size={FREE + 12 + 4 * LARGE // MIB}m")
        for command in self.commands(self.gateway_of(self.blocks)):
            self.on_disk(*command)
            self.on_disk("image", "rm", self.root)

    def test_a_disk_that_something_else_fills_meanwhile(self):
        self.begin(FREE + 12 + 4 * LARGE // MIB)
        for command in self.commands(self.gateway_of(self.blocks)):
            asked = itertools.count(1)

            def change(_cid, block, asked=asked):
                if next(asked) == FILL_AT:
                    self.disk.fill("filler")
                return 200, {}, block

            full = self.commands(self.gateway_of(self.blocks, change))[command[0] == "run"]
            why = self.refusal(*full)
            self.assertIn(self.path("data"), why)
            self.assertIn("make room on ", why)
            os.remove(self.disk.path("filler"))
            self.is_as_it_was()
            self.on_disk(*command)
            self.on_disk("image", "rm", self.root)


if __name__ == "__main__":
    unittest.main()
