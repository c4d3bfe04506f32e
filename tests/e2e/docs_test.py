"""The two nodes of docs/network.md, command by command. Ids are those that were printed, and ports
are free ones."""
import os
import re
import socket
import subprocess
import unittest

from nodes import NodeCase

ROOT, BUILD = os.environ["WW_ROOT"], os.environ["WW_BUILD"]
PEER_ID = re.compile(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}")
SOME_ID = "12D3KooW..."

with open(os.path.join(ROOT, "docs/network.md"), encoding="utf-8") as file:
    SECTION = re.search(r"^## Two nodes\n(.*?)^## ", file.read(), re.M | re.S).group(1)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.S)
            for line in block.splitlines()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class DocsTest(NodeCase):
    def setUp(self):
        super().setUp()
        for name, to in (("build", BUILD), ("examples", os.path.join(ROOT, "examples"))):
            os.symlink(to, self.path(name))
        self.ports = {"2020": free_port(), "2022": free_port()}
        self.key = self.node = None
        self.environment = {**os.environ, "WW_DATA_DIR": self.data}

    def as_typed(self, line):
        for port, free in self.ports.items():
            line = line.replace(f"/tcp/{port}", f"/tcp/{free}")
        line = line.replace(f"--allow {SOME_ID}", f"--allow {self.key}")
        return line.replace(SOME_ID, self.node or "")

    def begin(self, line):
        """A node, in a terminal of its own."""
        node = subprocess.Popen(["sh", "-c", "exec " + line], cwd=self.folder,
                                env=self.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, node)
        for said in node.stderr:
            if b"listening" in said:
                return PEER_ID.search(said.decode()).group(0)
        self.fail(f"it does not listen: {line}")

    def test_each_command_does_what_is_said(self):
        printed = {}
        for line in COMMANDS:
            typed = self.as_typed(line)
            if " run " in line:
                peer = self.begin(typed)
                self.node = self.node or peer
                continue
            done = subprocess.run(["sh", "-c", typed], cwd=self.folder, env=self.environment,
                                  input="exit 3\n", capture_output=True, encoding="utf-8",
                                  timeout=60)
            prompt = " exec " in line and ".wasm" not in line
            self.assertEqual(done.returncode, 3 if prompt else 0, (typed, done.stderr))
            if " keygen " in line:
                self.key = done.stdout.strip()
            printed[line] = done.stdout

        def shown(word):
            return [text for line, text in printed.items() if f"ww {word}" in line]
        prompt, echoed, detached = shown("exec")
        self.assertEqual((prompt, detached), ("ww> ", "4\n"))
        self.assertEqual(echoed, "child-echo: Echo: hello\nchild-echo: Echo: world\n")
        ours, owners = shown("ps")
        self.assertEqual(len(owners.splitlines()) - len(ours.splitlines()), 1, "and pid0's")
        self.assertEqual(shown("logs"), ["asleep\n"])
        self.assertIn(self.key, shown("caps")[0])
        self.assertEqual(shown("kill"), ["4\n"])
        self.assertIn(self.node, shown("peer ls")[0])
        self.assertRegex(shown("peer ping")[0], r"^[0-9.]+ ms\n$")


if __name__ == "__main__":
    unittest.main()
