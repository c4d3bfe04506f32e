"""Images of ours, and of ipfs-unixfs-importer, -exporter and @ipld/car, on the same data."""
import os
import pathlib
import tempfile
import unittest

from trees import DRIVER, listing, make, run, second_version

JS = os.environ["WW_JS_UNIXFS"].split()

# As it should be in an image: files small, large, empty; names in scripts; nothing in a directory.
MIXED = {
    "main.wasm": 3_000_000, "etc/config": b"x=1\n", "etc/empty": b"", "lib/a.wasm": 1 << 20,
    "lib/b.wasm": (1 << 20) + 1, "lib/deep/er/still": b"!", "naïve/日本.txt": b"utf-8",
}
CROWD = {f"crowd/{'long' * 45} {n}": str(n).encode() for n in range(1300)}  # of more than 256 KiB


class JsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ww-images-")
        self.addCleanup(self.folder.cleanup)
        self.count = 0

    def new(self, name="made"):
        self.count += 1
        return pathlib.Path(self.folder.name) / f"{name}-{self.count}"

    def ours_there(self, files, dirs=(), ours=(), js=()):
        """We make it: js makes the same content id of it, and reads the same tree out of it."""
        tree, car = make(self.new("tree"), files, dirs), self.new("car")
        root = run(DRIVER, "import", tree, car, *ours)
        self.assertEqual(root, run(JS, "import", tree, self.new("car"), *js))
        for file in (car, second_version(car, self.new("car"))):
            out = self.new("out")
            self.assertEqual(run(JS, "export", file, out), root)
            self.assertEqual(listing(out), listing(tree))
        return root

    def theirs_here(self, files, dirs=(), js=()):
        """js makes it: we read the same tree out of it, and js's CAR in its second version."""
        tree, car = make(self.new("tree"), files, dirs), self.new("car")
        root = run(JS, "import", tree, car, *js)
        for file in (car, second_version(car, self.new("car"), padding=0)):
            out = self.new("out")
            self.assertEqual(run(DRIVER, "export", file, out), root)
            self.assertEqual(listing(out), listing(tree))
        return root

    def test_a_tree_of_ours(self):
        self.ours_there(MIXED, dirs=["nothing", "nothing/here"])

    def test_a_tree_of_theirs(self):
        self.theirs_here(MIXED, dirs=["nothing", "nothing/here"])

    def test_an_empty_tree(self):
        tree, car = make(self.new("tree"), {}), self.new("car")
        run(DRIVER, "import", tree, car)
        run(JS, "export", car, self.new("out"))

    def test_a_sharded_directory_of_ours(self):
        self.ours_there(CROWD)

    def test_a_sharded_directory_of_theirs(self):
        self.theirs_here(CROWD)

    def test_shards_of_shards(self):
        few = {f"d/{n:03}": b"" for n in range(600)}
        self.ours_there(few, ours=["directory=1000"], js=["shardSplitThresholdBytes=1000"])
        self.theirs_here(few, js=["shardSplitThresholdBytes=1000", "shardFanoutBits=4"])
        self.theirs_here(few, js=["shardSplitThresholdBytes=0", "profile=unixfs-v0-2015"])

    def test_where_a_directory_begins_to_be_sharded(self):
        # Some below the limit, some at it and some above, to the byte.
        names = {f"{count}/{n}": b"x" * count for count in range(55, 75) for n in range(count)}
        self.ours_there(names, ours=["directory=3000"], js=["shardSplitThresholdBytes=3000"])
        names = {f"{size}/{'n' * size}{n}": b"" for size in range(1, 40) for n in range(40)}
        self.ours_there(names, ours=["directory=2900"], js=["shardSplitThresholdBytes=2900"])

    def test_files_of_many_levels(self):
        sizes = (0, 999, 1000, 1001, 4000, 4001, 16000, 16001, 100_000)
        self.ours_there({str(size): size for size in sizes}, ours=["chunk=1000", "links=4"],
                        js=["chunk=1000", "links=4"])

    def test_a_trickle_dag(self):
        self.theirs_here({"f": 300_000}, js=["layout=trickle", "chunk=1000", "links=4"])
        self.theirs_here({"f": 300_000}, js=["layout=trickle", "chunk=1000", "rawLeaves=false",
                                             "leafType=raw", "reduceSingleLeafToSelf=false"])

    def test_version_0_as_kubo_made_it(self):
        root = self.theirs_here({**MIXED, **CROWD}, js=["profile=unixfs-v0-2015"])
        self.assertTrue(root.startswith("Qm"), root)

    def test_data_before_links(self):
        self.theirs_here(MIXED, js=["fieldOrder=data-first"])


if __name__ == "__main__":
    unittest.main()
