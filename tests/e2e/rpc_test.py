"""`ww run --rpc`: the way in over one TCP port, without a network, as clients and others see it."""
import os
import re
import socket
import subprocess
import unittest

from nodes import LOOPBACK, WW, NodeCase, cell, ww

PLAIN = cell("cell-plain")
MAX_PENDING = 64  # rust/swarm/src/direct.rs


class RpcTest(NodeCase):
    def setUp(self):
        super().setUp()
        self.me = self.keygen("me")

    def serve(self, *flags):
        node = self.begin("--rpc", "127.0.0.1:0", "--allow", self.me, *flags)
        return node, self.logged(node, r"serving RPC address=(\S+)")

    def place(self, address):
        ip, port = re.match(r"/ip4/([\d.]+)/tcp/(\d+)/p2p/", address).groups()
        return ip, int(port)

    def exec(self, address, *words, key="me", **options):
        return ww("exec", "--on", address, "--identity", self.path(key), *words, **options)

    def test_an_allowed_key_runs_what_it_likes_and_all_its_bytes_arrive(self):
        _, address = self.serve()
        done = self.exec(address, PLAIN, "--", "args", "there")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"5:there\n", b""))
        data = os.urandom(3_000_000)
        done = self.exec(address, PLAIN, "--", "cat", stdin=data)
        self.assertEqual((done.returncode, done.stdout == data), (0, True))
        done = self.exec(address, stdin=b"echo far\nexit 9\n")
        self.assertEqual((done.returncode, done.stdout), (9, b"ww> Echo: far\nww> "))

    def test_rpc_alone_joins_no_network(self):
        node, address = self.serve()
        sockets = {os.readlink(f"/proc/{node.pid}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{node.pid}/fd")}
        local = []
        for kind in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/{node.pid}/net/{kind}", encoding="ascii") as table:
                rows = [line.split() for line in table][1:]
            local += [(kind, row[1]) for row in rows if f"socket:[{row[9]}]" in sockets]
        port = self.place(address)[1]
        self.assertEqual(local, [("tcp", f"0100007F:{port:04X}")])
        node.stdin.write(b"peers\nid\n")
        node.stdin.flush()
        self.assertEqual(node.stdout.read(8), b"ww> ww> ")  # no peer, and then the id
        self.assertEqual(node.stdout.readline().decode().strip(), address.rsplit("/", 1)[1])

    def test_both_ways_in_at_once(self):
        node, address = self.serve("--listen", LOOPBACK)
        listening = self.logged(node, r"listening address=(\S+)")
        for one in (address, listening):
            self.assertEqual(self.exec(one, stdin=b"exit 4\n").returncode, 4)

    def test_who_may_not_is_refused(self):
        _, address = self.serve()
        other = self.keygen("other")
        nobody = address.rsplit("/p2p/", 1)[0]
        for target, key, why in ((address, "other", b"unauthorized: "),
                                 (nobody, "me", b"must end in /p2p/PEERID"),
                                 (f"{nobody}/p2p/{other}", "me", b"another peer answers there")):
            done = self.exec(target, key=key)
            self.assertEqual((done.returncode, done.stdout), (125, b""))
            self.assertIn(why, done.stderr)

    def test_plain_bytes_are_refused_and_nobody_is_harmed(self):
        _, address = self.serve()
        rpc = b"\x00\x00\x00\x00\x02\x00\x00\x00" + b"\x00" * 16  # a frame of Cap'n Proto's
        hello = b"\x13/multistream/1.0.0\n"
        for bytes_ in (rpc, b"GET / HTTP/1.1\r\n\r\n", hello + b"\x07/tls/1\n",
                       hello + b"\x0e/ww/rpc/0.1.0\n" + rpc, hello + b"\x07/noise\n" + rpc):
            with socket.create_connection(self.place(address)) as plain:
                answer = b""
                try:
                    plain.sendall(bytes_)
                    plain.shutdown(socket.SHUT_WR)
                    while more := plain.recv(4096):
                        answer += more
                except OSError:
                    pass  # it was quicker
                self.assertNotIn(b"/ww/rpc", answer)
        self.assertEqual(self.exec(address, stdin=b"exit 4\n").returncode, 4)

    def test_those_who_say_nothing_keep_nobody_out(self):
        _, address = self.serve()
        mute = [socket.create_connection(self.place(address)) for _ in range(3 * MAX_PENDING)]
        try:
            self.assertEqual(self.exec(address, stdin=b"exit 4\n").returncode, 4)
            # The first had to make room: they find the end of their connections.
            for one in mute[:MAX_PENDING]:
                self.assertEqual(one.recv(1), b"")
        finally:
            for one in mute:
                one.close()

    def test_a_node_that_goes_is_noticed(self):
        node, address = self.serve()
        client = subprocess.Popen([WW, "exec", "--on", address, "--identity", self.path("me")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        node.kill()
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"the link to the node is gone", client.stderr.read())

    def test_what_cannot_be_is_said(self):
        _, address = self.serve()
        ip, port = self.place(address)
        for rpc, why in ((f"{ip}:{port}", f"cannot listen on /ip4/{ip}/tcp/{port}: Address"),
                         ("nonsense", "--rpc nonsense: no address; it takes IP:PORT")):
            done = ww("run", "--rpc", rpc, "--data-dir", self.path("d2"))
            self.assertEqual((done.returncode, done.stdout), (125, b""))
            self.assertIn(why, done.stderr.decode())

    def test_a_peer_id_is_found_through_the_local_node(self):
        far = self.begin("--listen", LOOPBACK, "--allow", self.me, data=self.path("far"))
        address = self.logged(far, r"listening address=(\S+)")
        peer = address.rsplit("/", 1)[1]
        near = self.begin("--listen", LOOPBACK, "--bootstrap", address, data=self.path("near"))
        self.assertEqual(near.stdout.read(4), b"ww> ")
        listed = b""
        while peer.encode() not in listed:  # until it is connected
            near.stdin.write(b"peers\necho end\n")
            near.stdin.flush()
            listed = b""
            while b"Echo: end" not in listed:
                listed = listed + near.stdout.readline()
        done = self.exec(peer, "--data-dir", self.path("near"), stdin=b"exit 6\n")
        self.assertEqual((done.returncode, done.stderr), (6, b""))
        done = self.exec(peer, "--data-dir", self.path("far"), stdin=b"exit 7\n")  # itself
        self.assertEqual((done.returncode, done.stderr), (7, b""))
        unknown = self.keygen("unknown")
        done = self.exec(unknown, "--data-dir", self.path("near"), "--dial-timeout", "0.5")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"no node here is connected to it", done.stderr)
        self.assertIn(b"name its address: /ip4/IP/tcp/PORT/p2p/", done.stderr)


if __name__ == "__main__":
    unittest.main()
