"""Nodes that a test starts, and commands that it gives them."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
COMPONENTS = os.environ["WW_COMPONENTS"]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


def cell(name):
    return os.path.join(COMPONENTS, f"{name}.wasm")


def ww(*words, stdin=b"", **options):
    return subprocess.run([WW, *words], input=stdin, capture_output=True, timeout=60, **options)


class NodeCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.path("data")

    def path(self, name):
        return os.path.join(self.folder, name)

    def keygen(self, name):
        done = ww("keygen", self.path(name))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()

    def start(self, *flags, **options):
        """A node whose pid0 waits for input that does not come."""
        node = self.begin(*flags, **options)
        self.assertEqual(node.stdout.read(4), b"ww> ")
        return node

    def begin(self, *flags, data=None, program=WW, **options):
        """The same, without waiting for its prompt."""
        node = subprocess.Popen(
            [program, "run", "--no-mdns", "--data-dir", data or self.data, *flags,
             os.path.join(IMAGES, "shell")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(self.put_away, node)
        return node

    def logged(self, node, pattern):
        """What its log has in the place of the pattern's group."""
        for line in node.stderr:
            if found := re.search(pattern, line.decode()):
                return found.group(1)
        self.fail(f"the node ended without a line like {pattern}")

    def put_away(self, process):
        process.kill()
        process.wait(60)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def start_listening(self, *flags):
        node = self.start("--listen", LOOPBACK, *flags)
        return node, self.logged(node, r"listening address=(\S+)")

    def exec(self, *words, stdin=b""):
        return ww("exec", "--data-dir", self.data, *words, stdin=stdin)
