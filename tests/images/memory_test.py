"""Images larger than the memory that they take: imported, exported and read back."""
import os
import pathlib
import tempfile
import unittest

from trees import DRIVER, make

MIB = 1 << 20
SIZE = 256 * MIB
MOST = 64 * MIB  # above what a small image takes


def peak(*words):
    """The most memory that a run took, of pages that were its own to give back."""
    pid = os.posix_spawn(DRIVER[0], [*DRIVER, "--disk", *map(str, words)], dict(os.environ),
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return usage.ru_maxrss * 1024


class MemoryTest(unittest.TestCase):
    def peaks(self, folder, tree):
        car = pathlib.Path(folder) / f"{tree.name}.car"
        out = pathlib.Path(folder) / f"{tree.name}.out"
        return peak("import", tree, car), peak("export", car, out)

    def test_a_large_image_takes_little_more_memory_than_a_small_one(self):
        with tempfile.TemporaryDirectory(prefix="ww-images-") as folder:
            small = make(pathlib.Path(folder) / "small", {"main.wasm": 1000})
            large = make(pathlib.Path(folder) / "large", {"main.wasm": 1000})
            with open(large / "data", "wb") as file:
                for n in range(SIZE // MIB):
                    file.write(n.to_bytes(4, "big") * (MIB // 4))
            for less, more in zip(self.peaks(folder, small), self.peaks(folder, large)):
                print(f"{less // MIB} MiB, and {more // MIB} MiB for {SIZE // MIB} MiB")
                self.assertLess(more - less, MOST)


if __name__ == "__main__":
    unittest.main()
