"""The other side: IPFS nodes that do what they are told, and servers that answer as a test says."""
import base64
import http.server
import os
import sys
import threading
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from told import LIMIT_S, Told  # noqa: E402  pylint: disable=wrong-import-position

HEADER = bytes.fromhex("a265726f6f747381d82a582500")  # of a CAR file with one root, in CBOR
VERSION = b"gversion\x01"


class Foreign(Told):
    """An IPFS node."""

    def ask(self, command, answer):
        self.tell(command)
        words = self.hear(answer, "failed")
        if words[0] == "failed":
            raise AssertionError(f"{command}: {' '.join(words)}")
        return words[1:]


class HttpServer(http.server.ThreadingHTTPServer):
    """Whose clients may hang up within an answer: some tests are about just that."""
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """One that answers each path as it is told: (status, headers, body). A body may be pieces; then
    its headers say how long it is."""

    def __init__(self, answer):
        asked = self.asked = []
        accepts = self.accepts = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append(f"{self.command} {self.path}")
                accepts.append(self.headers["Accept"])
                status, headers, body = answer(self.path)
                self.send_response(status)
                if isinstance(body, bytes):
                    headers = {"Content-Length": len(body), **headers}
                for name, value in {"Connection": "close", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)
                self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.http = HttpServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Proxy(Server):
    """What another server answers, with what it was asked for."""

    def __init__(self, url):
        def answer(path):
            request = urllib.request.Request(url + path, headers={"Accept": self.accepts[-1]})
            try:
                with urllib.request.urlopen(request, timeout=LIMIT_S) as reply:
                    return 200, {"Content-Type": reply.headers["Content-Type"]}, reply.read()
            except urllib.error.HTTPError as error:
                return error.code, {}, error.read()
        super().__init__(answer)


def varint(data, at=0):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def to_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def cid_bytes(text):
    return base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))


def read_car(path):
    """What is in a .car file that we wrote: its blocks by content id, in their order."""
    with open(path, "rb") as file:
        data = file.read()
    size, at = varint(data)
    at += size
    blocks = {}
    while at < len(data):
        size, at = varint(data, at)
        section = data[at:at + size]
        at += size
        blocks[cid_text(section[:36])] = section[36:]
    return blocks


def section(cid, block):
    return to_varint(len(cid) + len(block)) + cid + block


def links_of(block):
    """Of a block of dag-pb: the content ids that it links to."""
    at, links = 0, []
    while at < len(block):
        key, at = varint(block, at)
        size, at = varint(block, at)
        if key == 0x12:  # a link, whose first field is the content id
            assert block[at] == 0x0a
            length, begin = varint(block, at + 1)
            links.append(cid_text(block[begin:begin + length]))
        at += size
    return links


def car_header(root):
    header = HEADER + cid_bytes(root) + VERSION
    return section(b"", header)


def car_of(root, blocks, change=lambda cid, block: block):
    """All below a root, depth first, each once, as pieces."""
    sent, stack = set(), [root]
    yield car_header(root)
    while stack:
        cid = stack.pop()
        if cid in sent:
            continue
        sent.add(cid)
        yield section(cid_bytes(cid), change(cid, blocks[cid]))
        if cid.startswith("bafybe"):
            stack += reversed(links_of(blocks[cid]))
