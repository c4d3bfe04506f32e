"""Kills a program at random points of adopting epochs. The next one must find the latest that was
adopted, or the one that was being adopted, and whole (adoption-kill.c++ checks that).

SEED=N replays the random choices; where a kill hits is the machine's as well."""
import os
import random
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["ADOPTION_KILL"]
KILLS = 200
FIRST_KILLS = 50  # of a program that makes the file
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def spin(seconds):
    """Passes the time to the microsecond, as sleeping would not."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Life:
    """One run of the program, up to its kill."""

    def __init__(self, folder):
        self.began = time.perf_counter()
        self.process = subprocess.Popen([PROGRAM, folder], stdout=subprocess.PIPE)
        self.out = b""

    def until(self, lines):
        """Waits until it has said so many, or has ended."""
        fd = self.process.stdout.fileno()
        while self.out.count(b"\n") < lines:
            if not select.select([fd], [], [], 60)[0]:
                raise AssertionError(f"it says nothing more after {self.out[-100:]}")
            more = os.read(fd, 65536)
            if not more:
                break
            self.out += more
        return time.perf_counter()

    def kill(self):
        self.process.kill()
        self.out += self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(60)

    def numbers(self, word):
        return [int(n) for n in re.findall(rb"^%s (\d+)\n" % word, self.out, re.M)]


class AdoptionKill(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.adopted = -1  # the latest that was

    def live(self, folder, lines, wait):
        """A life that is killed `wait` seconds after it said so many lines: None where it had not
        yet said what it found; else how many it had said, and when the last awaited one came."""
        life = Life(folder)
        then = life.until(lines)
        spin(wait)
        self.assertEqual(life.kill(), -9, "it ended by itself: see stderr")
        if not life.out:
            return None, then - life.began
        first = life.out.split(b"\n")[0]
        found = -1 if first == b"loaded none" else int(first.split()[1])
        self.assertGreaterEqual(found, self.adopted, "an epoch that was adopted is gone")
        self.assertLessEqual(found, self.adopted + 1, "an epoch that nobody adopted")
        said = life.numbers(b"adopted")
        self.assertEqual(said, list(range(found + 1, found + 1 + len(said))))
        self.adopted = said[-1] if said else found
        return found, then - life.began

    def test_a_kill_while_it_adopts(self):
        adoption, ahead, started, began = self.measure()
        epochs = self.adopted
        for _ in range(KILLS):
            before = self.adopted
            if self.random.random() < 0.2:  # while it starts
                found, _ = self.live(self.folder, 0, self.random.uniform(0, 1.5 * started))
            else:
                lines = 1 + self.random.randrange(20)
                found, _ = self.live(self.folder, lines, self.random.uniform(0, 2 * adoption))
            ahead += found == before + 1
        life = Life(self.folder)
        life.until(1)
        life.kill()
        self.assertIn(life.numbers(b"loaded")[0], (self.adopted, self.adopted + 1))
        print(f"\nseed {SEED}: {KILLS} kills, {self.adopted - epochs} epochs adopted in "
              f"{time.perf_counter() - began:.1f} s; {ahead} times one was kept that was not yet "
              f"adopted; {1e6 * adoption:.0f} us an adoption, {1e3 * started:.0f} ms a start")

    def measure(self):
        """How long an adoption and a start take here."""
        began = time.perf_counter()
        self.live(self.folder, 20, 0)
        _, started = self.live(self.folder, 1, 0)
        _, whole = self.live(self.folder, 201, 0)
        return (whole - started) / 200, 0, started, began

    def test_a_kill_while_the_file_is_made(self):
        _, _, started, _ = self.measure()
        made = 0
        for number in range(FIRST_KILLS):
            folder = os.path.join(self.folder, str(number))
            self.adopted = -1
            self.live(folder, 0, self.random.uniform(0, 2 * started))
            made += os.path.exists(os.path.join(folder, "stem.db"))
            self.live(folder, 2, 0)
            self.assertGreaterEqual(self.adopted, 0)
        print(f"\nseed {SEED}: {FIRST_KILLS} kills while it was made; it was there in {made}")


if __name__ == "__main__":
    print(f"seed {SEED}", flush=True)
    unittest.main()
