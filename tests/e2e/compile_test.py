"""Components that take long to compile: they hurt nobody else, and are given up when told."""
import os
import select
import signal
import subprocess
import time
import unittest

from nodes import WW, NodeCase, cell


def leb(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def bomb(functions=3000, steps=1000):
    """A component whose one module has so many functions of so many multiplications."""
    body = bytes([1]) + leb(200) + b"\x7e" + b"".join(
        b"\x20" + leb(i * 7 % 200) + b"\x20" + leb(i * 13 % 200) + b"\x7e\x22" + leb(i * 31 % 200)
        + b"\x24\x00" for i in range(steps)) + b"\x0b"
    module = (b"\0asm\x01\0\0\0" + section(1, b"\x01\x60\0\0")
              + section(3, leb(functions) + bytes(functions))
              + section(6, b"\x01\x7e\x01\x42\x00\x0b")
              + section(10, leb(functions) + (leb(len(body)) + body) * functions))
    return b"\0asm\x0d\0\x01\0" + section(1, module)


def workers(node):
    """Processes that the node started."""
    found = []
    folder = f"/proc/{node.pid}/task"
    for task in os.listdir(folder):
        with open(os.path.join(folder, task, "children"), encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


class CompileTest(NodeCase):
    def setUp(self):
        super().setUp()
        self.node = self.start()
        with open(self.path("bomb.wasm"), "wb") as file:
            file.write(bomb())

    def until(self, holds):
        stop = time.monotonic() + 60
        while not holds():
            self.assertLess(time.monotonic(), stop)
            select.select([], [], [], 0.01)

    def begin_compiling(self):
        client = subprocess.Popen(
            [WW, "exec", "--data-dir", self.data, self.path("bomb.wasm")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.stderr.close)
        self.until(lambda: workers(self.node))
        return client

    def test_an_interrupted_client_gives_it_up(self):
        client = self.begin_compiling()
        client.send_signal(signal.SIGINT)
        self.assertEqual(client.wait(60), 137, client.stderr.read())
        self.until(lambda: not workers(self.node))

    def test_a_client_that_is_gone_gives_it_up(self):
        self.begin_compiling().kill()
        self.until(lambda: not workers(self.node))

    def test_what_was_compiled_before_is_not_waited_for(self):
        self.assertEqual(self.exec(cell("cell-plain"), "--", "exit", "3").returncode, 3)
        self.begin_compiling()
        self.assertEqual(self.exec(cell("cell-plain"), "--", "exit", "4").returncode, 4)
        self.assertTrue(workers(self.node), "it still compiles")

    def test_who_killed_the_worker_is_told_from_a_component_that_takes_too_long(self):
        client = self.begin_compiling()
        for pid in workers(self.node):
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"killed the compilation; try again", client.stderr.read())

    def test_a_node_that_is_killed_leaves_none(self):
        self.begin_compiling()
        left = workers(self.node)
        self.node.kill()
        self.node.wait(60)

        def is_running(pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    return file.read().rsplit(")", 1)[1].split()[0] != "Z"
            except FileNotFoundError:
                return False
        self.until(lambda: not any(is_running(pid) for pid in left))


if __name__ == "__main__":
    unittest.main()
