"""Nodes among peers, as their operators see them: flags, addresses, who is connected."""
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class Node:
    """One `ww run` of the shell, with what it logs and a line in, a line out."""

    def __init__(self, test, *flags):
        folder = tempfile.mkdtemp(prefix="ww-net-")
        test.addCleanup(shutil.rmtree, folder)
        self.process = subprocess.Popen(
            [WW, "run", "--no-mdns", "--data-dir", f"{folder}/data", *flags,
             os.path.join(IMAGES, "shell")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            bufsize=1)
        test.addCleanup(self.close)

    def close(self):
        self.process.kill()
        self.process.wait(60)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def logged(self, pattern):
        """The first line on stderr from now on that matches."""
        for line in self.process.stderr:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the node ended without a line like {pattern}")

    def address(self):
        return self.logged(r"listening.* address=(\S+/p2p/\w+)").group(1).strip('"')

    def ask(self, command):
        self.process.stdin.write(f"{command}\necho end-of-answer\n")
        lines = []
        for line in self.process.stdout:
            line = line.replace("ww> ", "").strip()
            if line.endswith("end-of-answer"):
                return [one for one in lines if one]
            lines.append(line)
        raise AssertionError("the shell ended")

    def peers_until(self, wanted):
        while (peers := self.ask("peers")) != wanted:
            pass
        return peers


class NetworkTest(unittest.TestCase):
    def test_a_node_joins_another_through_bootstrap(self):
        for listen in (LOOPBACK, "/ip4/127.0.0.1/udp/0/quic-v1"):
            first = Node(self, "--listen", listen)
            address = first.address()
            second = Node(self, "--listen", LOOPBACK, "--bootstrap", address)
            peer = address.rsplit("/", 1)[1]
            second.peers_until([peer])
            first.peers_until(second.ask("id"))

    def test_without_a_flag_there_is_no_network(self):
        for flags in ([], ["--no-network", "--listen", LOOPBACK]):
            node = Node(self, *flags)
            node.logged("no network: this node neither listens nor dials")
            self.assertEqual(node.ask("peers"), [])

    def test_a_private_network_admits_those_with_its_key(self):
        folder = tempfile.mkdtemp(prefix="ww-net-")
        self.addCleanup(shutil.rmtree, folder)

        def key(name, digits):
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write(f"/key/swarm/psk/1.0.0/\n/base16/\n{digits * 32}\n")
            os.chmod(path, stat.S_IRUSR)
            return path

        ours, theirs = key("ours", "a1"), key("theirs", "b2")
        first = Node(self, "--listen", LOOPBACK, "--private-network", ours)
        address = first.address()
        peer = address.rsplit("/", 1)[1]
        stranger = Node(self, "--listen", LOOPBACK, "--bootstrap", address,
                        "--private-network", theirs)
        friend = Node(self, "--listen", LOOPBACK, "--bootstrap", address,
                      "--private-network", ours)
        friend.peers_until([peer])
        self.assertEqual(stranger.ask("peers"), [])

    def test_what_cannot_be_is_said(self):
        def refused(*flags):
            done = subprocess.run([WW, "run", *flags], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 125)
            self.assertEqual(done.stdout, "")
            return done.stderr

        folder = tempfile.mkdtemp(prefix="ww-net-")
        self.addCleanup(shutil.rmtree, folder)
        data = ["--data-dir", f"{folder}/data"]
        self.assertIn("--listen nonsense: no multiaddr", refused(*data, "--listen", "nonsense"))
        self.assertIn("must end in /p2p/PEERID",
                      refused(*data, "--listen", LOOPBACK, "--bootstrap", "/ip4/127.0.0.1/tcp/1"))
        node = Node(self, "--listen", LOOPBACK)
        taken = node.address().rsplit("/p2p/", 1)[0]
        self.assertIn(f"cannot listen on {taken}", refused(*data, "--listen", taken))
        path = os.path.join(folder, "open")
        with open(path, "w") as file:
            file.write("secret")
        os.chmod(path, 0o644)
        self.assertIn("run: chmod 600", refused(*data, "--private-network", path))


if __name__ == "__main__":
    unittest.main()
