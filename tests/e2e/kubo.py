"""A node that speaks what of Kubo's RPC `ww push` needs, and of a gateway's what a node fetches;
and that fails as a test wants it to."""
import base64
import hashlib
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RAW, DAG_PB, SHA2_256 = 0x55, 0x70, 0x12


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def cid_text(cid):
    """Version 1, in base32, as everybody shows it."""
    return "b" + base64.b32encode(cid).decode().rstrip("=").lower()


def cid_length(data, at):
    """How long the content id is that begins there; version 1 alone."""
    start = at
    version, at = varint(data, at)
    _codec, at = varint(data, at)
    code, at = varint(data, at)
    size, at = varint(data, at)
    if (version, code) != (1, SHA2_256):
        raise ValueError(f"another content id: version {version}, hash {code:#x}")
    return at + size - start


def read_car(data):
    """(root, {cid: block}) of a CAR file of version 1; ValueError for what is none or not whole."""
    size, at = varint(data, 0)
    header = data[at:at + size]
    mark = header.find(b"\xd8\x2a\x58")  # a link: its length, a zero, and the content id
    if mark < 0 or b"gversion\x01" not in header:
        raise ValueError(f"no header: {header!r}")
    root = header[mark + 5:mark + 4 + header[mark + 3]]
    at += size
    blocks = {}
    while at < len(data):
        size, at = varint(data, at)
        if at + size > len(data):
            raise ValueError("cut short")
        length = cid_length(data, at)
        cid, block = data[at:at + length], data[at + length:at + size]
        if hashlib.sha256(block).digest() != cid[-32:]:
            raise ValueError(f"a wrong block: {cid_text(cid)}")
        blocks[cid_text(cid)] = block
        at += size
    return cid_text(root), blocks


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status, content, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        kubo = self.server.kubo
        kubo.requests.append(self.path)
        url = urllib.parse.urlparse(self.path)
        if url.path == "/api/v0/dag/import":
            return self.take_import(kubo)
        if url.path == "/api/v0/block/get":
            return self.give_block(kubo, urllib.parse.parse_qs(url.query)["arg"][0])
        return self.answer(404, b"404 page not found\n", "text/plain")

    def take_import(self, kubo):
        if kubo.stalls:
            return kubo.ended.wait()
        if kubo.refusal:
            self.close_connection = True
            return self.answer(*kubo.refusal)
        mark = b"--" + self.headers["Content-Type"].split("boundary=")[1].encode()
        head, _, rest = self.body().partition(b"\r\n\r\n")
        if not head.startswith(mark + b"\r\nContent-Disposition: form-data;"):
            return self.answer(400, b'{"Message":"no form"}')
        root, blocks = read_car(rest.removesuffix(b"\r\n" + mark + b"--\r\n"))
        kubo.blocks.update(blocks)
        kubo.roots.append(root)
        line = {"Root": {"Cid": {"/": kubo.says or root}, "PinErrorMsg": ""}}
        return self.answer(200, json.dumps(line).encode() + b"\n")

    def do_GET(self):
        kubo = self.server.kubo
        kubo.requests.append(self.path)
        url = urllib.parse.urlparse(self.path)
        if url.path.startswith("/ipfs/") and "format=raw" in url.query:
            return self.give_block(kubo, url.path.removeprefix("/ipfs/"))
        return self.answer(404, b"no such path\n", "text/plain")

    def give_block(self, kubo, cid):
        if cid in kubo.blocks and not kubo.hides:
            return self.answer(200, kubo.blocks[cid], "application/vnd.ipld.raw")
        return self.answer(404, b"no such block\n", "text/plain")


class HttpServer(ThreadingHTTPServer):
    """Whose clients may hang up within an answer: some tests are about just that."""
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Kubo:
    """Listens when this returns. What was imported is in `blocks`, by content id, and `roots`."""

    def __init__(self):
        self.blocks, self.roots, self.requests = {}, [], []
        self.refusal = None   # (status, content) in place of an import
        self.says = None      # another root than the one that was imported
        self.stalls = False   # takes and says nothing
        self.hides = False    # has no block
        self.ended = threading.Event()
        self.server = HttpServer(("127.0.0.1", 0), Handler)
        self.server.kubo = self
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
