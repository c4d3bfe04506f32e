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
        self.assertEqual(self.value("ww_epoch_current"), 0)
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
        # 16 at once stay, until they end by their own nonsense or their time; older ones make room.
        for one in held:
            try:
                while one.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.assertEqual(self.get("/healthz")[0], 200)

    def answer_to(self, request):
        place = self.address.split(":")
        with socket.create_connection(place, 60) as connection:
            answer = b""
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(4096):
                    answer += piece
            except OSError:
                pass  # it hung up in the middle
            return answer.decode()

    def test_who_asks_wrongly_learns_nothing_of_the_process(self):
        for request in (
            "CONNECT /metrics HTTP/1.1\r\nHost: {0}\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: {0}\r\nContent-Length: -1\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: {0}\r\nTransfer-Encoding: x\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: {0}\r\nUpgrade: websocket\r\n\r\n",
            "NONSENSE / HTTP/1.1\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nX: " + "x" * 1_000_000 + "\r\n\r\n",
        ):
            answer = self.answer_to(request.format(self.address).encode())
            self.assertNotRegex(answer, r"stack|\.c\+\+|failed|exception", request[:60])
        self.assertIn("405", self.answer_to(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"))
        self.assertEqual(self.get("/healthz")[0], 200)
        self.node.terminate()
        self.assertNotRegex(self.node.stderr.read().decode(), r"http\.c\+\+|error")

    def test_who_finishes_no_request_makes_room_for_who_does(self):
        place = self.address.split(":")
        for _ in range(3):
            for _ in range(20):
                one = socket.create_connection(place, 60)
                self.addCleanup(one.close)
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
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
