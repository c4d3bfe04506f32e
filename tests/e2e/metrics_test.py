"""What a node tells whoever watches it, over HTTP."""
import http.client
import os
import re
import socket
import unittest

from nodes import IMAGES, NodeCase, cell, ww


class MetricsTest(NodeCase):
    def setUp(self):
        super().setUp()
        self.node = self.start("--metrics", "127.0.0.1:0", "--memory", "20m")
        self.address = self.logged(self.node, r"metrics are served url=http://(\S+)/metrics")

    def get(self, path, method="GET", host=None, address=None):
        address = address or self.address
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request(method, path, headers={"Host": host or address})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def value(self, name):
        status, text, headers = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("version=0.0.4", headers["Content-Type"])
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def test_gauges_and_counters_follow_what_happens(self):
        self.assertEqual(self.value("ww_cells"), 1)
        self.assertEqual(self.value("ww_epoch"), 0)
        self.assertEqual(self.value('ww_limit_hits_total{kind="memory"}'), 0)
        self.assertEqual(self.exec(cell("cell-plain"), "--", "grow").returncode, 7)
        self.assertGreater(self.value('ww_limit_hits_total{kind="memory"}'), 0)
        done = ww("exec", "--data-dir", self.data, "--detach", cell("cell-plain"), "--", "sleep",
                  "1000000000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.value("ww_cells"), 2)
        self.assertEqual(self.value("ww_sessions"), 1)
        self.assertGreater(self.value("ww_cells_memory_bytes"), 0)
        self.assertRegex(self.logged(self.node, r"(a limit was hit .*)"), "limit=memory cell=")

    def test_health_and_what_else_is_asked(self):
        self.assertEqual(self.get("/healthz")[:2], (200, "ok\n"))
        self.assertEqual(self.get("/readyz")[:2], (200, "ready\n"))
        port = self.address.rsplit(":", 1)[1]
        self.assertEqual(self.get("/healthz", host=f"localhost:{port}")[0], 200)
        self.assertEqual(self.get("/nothing")[0], 404)
        self.assertEqual(self.get("/metrics/../metrics")[0], 404)
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
            status, _, headers = self.get("/metrics", method=method)
            self.assertEqual((status, headers["Allow"]), (405, "GET"), method)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "localhost",
                     f"127.0.0.2:{port}", f"{self.address}."):
            self.assertEqual(self.get("/metrics", host=host)[0], 421, host)

    def test_whoever_sends_nonsense_or_nothing_harms_nobody(self):
        place = self.address.split(":")
        held = [socket.create_connection(place, 60) for _ in range(40)]
        for one in held:
            self.addCleanup(one.close)
        for one in held[:16]:
            one.sendall(b"\x00\xff nonsense\r\n\r\n" + b"x" * 100_000)
        # Above 16 at once they are closed; those 16 end by their own nonsense.
        for one in held:
            try:
                while one.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.assertEqual(self.get("/healthz")[0], 200)

    def test_a_node_is_ready_once_its_image_runs(self):
        node = self.begin("--metrics", "127.0.0.1:0", data=self.path("other"))
        address = self.logged(node, r"metrics are served url=http://(\S+)/metrics")
        seen = set()
        while 200 not in seen:
            seen.add(self.get("/readyz", address=address)[0])
        self.assertLessEqual(seen, {503, 200})
        self.assertIn(503, seen, "its image is compiled first")

    def test_an_address_that_cannot_be_is_refused(self):
        image = os.path.join(IMAGES, "shell")
        for address, reason in (("nowhere", b"no address; it takes IP:PORT"),
                                (self.address, b"cannot listen there"), ("", b"is empty")):
            done = ww("run", "--data-dir", self.path("third"), "--metrics", address, image)
            self.assertEqual(done.returncode, 125)
            self.assertIn(b"--metrics", done.stderr)
            self.assertIn(reason, done.stderr)


if __name__ == "__main__":
    unittest.main()
