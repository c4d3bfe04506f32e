"""A data folder on a disk that takes nothing more, can only be read, or runs nothing."""
import os
import sys
import unittest

from nodes import IMAGES, NodeCase, WW, ww

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from disks import Disk  # noqa: E402  pylint: disable=wrong-import-position

CHOIR = os.path.join(IMAGES, "choir")

# What is in the log of changes alone, as who was killed leaves it.
CHANGE = """import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute(sys.argv[2])
db.commit()
os._exit(0)"""


class DiskTest(NodeCase):
    def mount(self, options):
        self.disk = Disk(self, self.path("disk"), options)
        self.data = self.path("disk/data")

    def on_disk(self, *command, code=0):
        done = self.disk.run(*command)
        self.assertEqual(done.returncode, code, (command, done.stderr))
        return done.stdout, done.stderr.decode()

    def ww(self, *words, code=0):
        return self.on_disk(WW, *words, "--data-dir", self.data, code=code)

    def change(self, what):
        """On a disk that can only be read, before and after."""
        self.disk.remount("rw")
        self.on_disk("python3", "-c", CHANGE, os.path.join(self.data, "images/blocks.db"), what)
        self.disk.remount("ro")

    def export(self):
        """The image's CAR file, as it ought to be."""
        other = self.path("other")
        ww("image", "add", CHOIR, "--name", "app", "--data-dir", other)
        done = ww("image", "export", "app", "-", "--data-dir", other)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def reads(self, name, why):
        """All of the store, and says why it does no more."""
        said = self.ww("image", "ls")
        self.assertIn(name.encode() + b" ", said[0])
        exported = self.ww("image", "export", name, "-")
        self.assertEqual(exported[0], self.exported)
        verified = self.ww("image", "verify")
        self.assertIn(b": all are ", verified[0])
        for _, stderr in (said, exported, verified):
            self.assertIn("the store cannot be written, and is read as it is", stderr)
            self.assertIn(why, stderr)

    def test_a_disk_that_others_filled_to_the_last_byte(self):
        self.exported = self.export()
        self.mount("size=90m")
        self.ww("image", "add", CHOIR, "--name", "app")
        self.disk.fill("filler")
        full = f"{self.data}/images/blocks.db: cannot be written, the disk is full; make room on it"
        self.reads("app", full)
        for words in (("image", "rm", "app"), ("image", "gc"), ("image", "add", CHOIR)):
            self.assertIn(full, self.ww(*words, code=125)[1])
        no_room = "(No space left on device); make room on that disk"
        key = self.path("disk/new.key")
        unmade = "cannot make this key: No space left on device; make room on that disk"
        self.assertIn(f"{self.data}/identity.key: {unmade}", self.ww("run", CHOIR, code=125)[1])
        self.assertIn(f"{key}: {unmade}", self.on_disk(WW, "keygen", key, code=125)[1])
        os.remove(self.disk.path("filler"))
        self.on_disk(WW, "keygen", key)
        self.assertIn(b"child-echo: Echo: image\n", self.ww("run", "app")[0])
        self.disk.fill("filler")
        self.assertIn(f"{self.data}/trees: 'etc/choir.conf' of the image cannot be written in it "
                      f"{no_room}", self.ww("run", CHOIR, code=125)[1])
        self.assertIn(full, self.ww("run", "app", code=125)[1])
        os.remove(self.disk.path("filler"))
        self.assertEqual(self.ww("image", "verify")[1], "")

    def test_a_disk_that_can_only_be_read(self):
        self.exported = self.export()
        self.mount("size=90m")
        self.ww("image", "add", CHOIR, "--name", "app")
        why = f"{self.data}/images/blocks.db: cannot be opened for writing (Read-only file system)"
        self.disk.remount("ro")
        self.reads("app", why)
        for words in (("image", "rm", "app"), ("image", "gc"), ("image", "pin", "app"),
                      ("image", "add", CHOIR), ("run", "app")):
            self.assertIn("Read-only file system", self.ww(*words, code=125)[1])
        self.change("UPDATE image SET name = 'renamed'")
        self.reads("renamed", why)
        self.change("UPDATE content SET bytes = x'00' WHERE block = 1")
        for _ in range(2):
            self.assertRegex(self.ww("image", "verify", code=1)[0].decode(), r": damaged: 1\n")

    def test_a_disk_that_runs_nothing(self):
        self.mount("size=90m,noexec")
        for _ in range(2):
            stdout, stderr = self.ww("run", CHOIR)
            self.assertIn(b"child-echo: Echo: image\n", stdout)
            [line] = [line for line in stderr.splitlines() if " warning: " in line]
            self.assertIn("is mounted noexec; mount it without, or name another data folder", line)
            self.assertIn(f"{self.data}/code", line)
            self.assertNotIn("the next time it is there", stderr)
        self.assertEqual(self.on_disk("ls", "-A", os.path.join(self.data, "code"))[0], b"")


unittest.main()
