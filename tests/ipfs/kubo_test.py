"""`ww` and Kubo itself: what either makes, the other reads, by its RPC, by its gateway and by
bitswap. Kubo is on loopback, and knows nobody."""
import hashlib
import json
import os
import re
import subprocess
import threading
import unittest

from servers import LIMIT_S, Proxy
from world import IpfsCase

KUBO = os.environ["WW_KUBO"].split()
CONFIG = {
    "AutoConf.Enabled": False, "AutoTLS.Enabled": False, "Routing.Type": "none",
    "Discovery.MDNS.Enabled": False, "Provide.Enabled": False, "Gateway.NoFetch": True,
}


class Kubo:
    """A daemon, which listens once this is made."""

    def __init__(self, folder):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("IPFS")}
        self.env.update(IPFS_PATH=folder, IPFS_TELEMETRY="off")
        self.ipfs("init", "--profile=test,unixfs-v1-2025")
        for name, value in CONFIG.items():
            self.ipfs("config", "--json", name, json.dumps(value))
        self.daemon = subprocess.Popen([*KUBO, "daemon"], env=self.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.watchdog = threading.Timer(LIMIT_S, self.daemon.kill)
        self.watchdog.start()
        said = []
        for line in self.daemon.stdout:
            said.append(line)
            if line.startswith("Daemon is ready"):
                break
        else:
            raise AssertionError("".join(said))
        text = "".join(said)
        self.rpc = re.search(r"RPC API server listening on (\S+)", text).group(1)
        port = re.search(r"Gateway server listening on /ip4/127.0.0.1/tcp/(\d+)", text).group(1)
        self.gateway = f"http://127.0.0.1:{port}"

    def close(self):
        self.watchdog.cancel()
        self.daemon.kill()
        self.daemon.wait()
        self.daemon.stdout.close()

    def ipfs(self, *words, **options):
        done = subprocess.run([*KUBO, *words], env=self.env, capture_output=True,
                              timeout=LIMIT_S, **options)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def say(self, *words):
        return self.ipfs(*words).decode().strip()


class KuboTest(IpfsCase):
    def setUp(self):
        super().setUp()
        self.kubo = Kubo(self.path("kubo"))
        self.addCleanup(self.kubo.close)

    def add(self):
        """A tree, and its content id as Kubo has it."""
        tree = self.make_tree()
        return tree, self.kubo.say("add", "-r", "-Q", tree)

    def add_many(self, tree):
        """A directory that is large enough to be sharded."""
        many = os.path.join(tree, "many")
        os.mkdir(many)
        for n in range(5000):
            with open(os.path.join(many, f"{n:04}-{'long' * 10}"), "wb") as out:
                out.write(str(n // 2).encode())

    def test_a_tree_has_one_content_id_whoever_adds_it(self):
        tree, root = self.add()
        self.assertEqual(self.image("add", tree), root)
        self.add_many(tree)
        self.assertEqual(self.image("add", tree), self.kubo.say("add", "-r", "-Q", "-n", tree))
        with open(self.path("kubo.car"), "wb") as out:
            out.write(self.kubo.ipfs("dag", "export", root))
        self.assertEqual(self.image("add", self.path("kubo.car"), data="other"), root)
        self.image("export", root, self.path("ww.car"))
        said = json.loads(self.kubo.say("dag", "import", "--enc=json", self.path("ww.car")))
        self.assertEqual(said["Root"]["Cid"]["/"], root)

    def test_it_comes_by_the_rpc_and_by_the_gateway(self):
        _, root = self.add()
        self.assertEqual(self.image("add", "--ipfs", self.kubo.rpc, root, data="rpc"), root)
        gateway = self.listening(Proxy(self.kubo.gateway))
        self.assertEqual(self.image("add", "--gateway", gateway.url, root, data="car"), root)
        self.assertEqual(len(gateway.asked), 1, gateway.asked)
        self.assertIn("?format=car", gateway.asked[0])
        below = self.kubo.say("resolve", f"/ipfs/{root}/etc/deep").removeprefix("/ipfs/")
        gateway.asked.clear()
        self.assertEqual(self.image("add", "--gateway", gateway.url, f"/ipfs/{root}/etc/deep",
                                    data="path"), below)
        self.assertIn("?format=raw", gateway.asked[0])
        for data in ("rpc", "car", "path"):
            self.image("verify", data=data)

    def test_what_is_pushed_is_there(self):
        tree = self.make_tree()
        root = self.ww("push", "--to", self.kubo.rpc, tree).stdout.decode().strip()
        self.assertEqual(self.image("add", tree), root)
        self.assertIn(root, self.kubo.say("pin", "ls", "--type=recursive"))
        self.assertEqual(self.kubo.say("add", "-r", "-Q", "-n", tree), root)
        with open(os.path.join(tree, "main.wasm"), "rb") as file:
            self.assertEqual(hashlib.sha256(self.kubo.ipfs("cat", f"{root}/main.wasm")).digest(),
                             hashlib.sha256(file.read()).digest())

    def test_it_goes_by_bitswap_both_ways(self):
        _, root = self.add()
        address = next(a for a in self.kubo.say("id", "-f", "<addrs>").split()
                       if "/127.0.0.1/tcp/" in a and "/ws" not in a)
        taker, heard = self.begin("--bootstrap", address, f"/ipfs/{root}")
        self.assertEqual(taker.stdout.read(4), b"ww> ")
        other = Kubo(self.path("other-kubo"))
        self.addCleanup(other.close)
        other.say("swarm", "connect", heard)
        self.assertEqual(other.ipfs("dag", "export", root), self.kubo.ipfs("dag", "export", root))


if __name__ == "__main__":
    unittest.main()
