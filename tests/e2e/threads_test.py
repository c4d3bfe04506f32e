"""A node that has several event loops, as a user sees it: as one node."""
import json
import os
import re
import signal
import subprocess
import unittest
import urllib.request

from nodes import WW, NodeCase, cell, ww


class ThreadsTest(NodeCase):
    def answer(self, *words):
        done = ww(*words, "--data-dir", self.data, "-o", "json")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return json.loads(done.stdout)

    def loops(self, *flags, **options):
        """How many a node says that it has."""
        node = self.start("--metrics", "127.0.0.1:0", *flags, **options)
        address = self.logged(node, r"metrics are served url=http://(\S+)/metrics")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
            found = re.search(r"^ww_loops (\d+)$", answer.read().decode(), re.MULTILINE)
        node.kill()
        node.wait(60)
        return int(found.group(1))

    def test_as_many_as_are_asked_for_or_one_a_core(self):
        self.assertEqual(self.loops(), len(os.sched_getaffinity(0)))
        self.assertEqual(self.loops("--threads", "3"), 3)
        self.assertEqual(self.loops(env={**os.environ, "WW_THREADS": "2"}), 2)

    def test_a_number_that_is_none_is_refused(self):
        done = ww("run", "--threads", "0")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"0 is not between 1 and 256", done.stderr)

    def test_cells_of_all_loops_are_one_nodes(self):
        node = self.start("--threads", "4", "--advance-on-signal", "--grace", "0s")
        numbers = []
        for _ in range(8):
            done = self.exec("--detach", cell("cell-plain"), "--", "sleep", "1000000000")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            numbers.append(done.stdout.decode().strip())
        self.assertEqual(len(set(numbers)), 8)
        running = [str(each["cell"]) for each in self.answer("ps")]
        self.assertEqual(running[1:], numbers)
        for number in numbers[:4]:
            self.assertEqual(self.answer("inspect", number)["running"], True)
            follow = subprocess.Popen([WW, "logs", "-f", number, "--data-dir", self.data],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(self.put_away_pipes, follow)
            self.assertEqual(follow.stdout.readline(), b"asleep\n")
            self.assertEqual(ww("kill", number, "--data-dir", self.data).returncode, 0)
            self.assertEqual((follow.stdout.read(), follow.wait(60)), (b"", 0))
            self.assertEqual(self.answer("inspect", number)["exitCode"], 137)
        # The others are sessions' of the epoch that ends.
        node.send_signal(signal.SIGUSR1)
        self.assertEqual(self.logged(node, r"the epoch moved from=0 to=(\d)"), "1")
        while any(self.answer("inspect", number)["running"] for number in numbers):
            pass
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(60), 128 + signal.SIGTERM)

    def put_away_pipes(self, process):
        process.kill()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()

    def test_exec_has_its_streams_and_its_code_from_any_loop(self):
        self.start("--threads", "3")
        text = os.urandom(1 << 20)
        for _ in range(4):
            done = self.exec(cell("cell-plain"), "--", "cat", stdin=text)
            self.assertEqual((done.returncode, done.stdout == text, done.stderr), (0, True, b""))
            done = self.exec(cell("cell-plain"), "--", "exit", "7")
            self.assertEqual(done.returncode, 7)


if __name__ == "__main__":
    unittest.main()
