"""A provider of a chain that may lie, fail and keep silent: it stands before the real one.

It speaks HTTP and WebSocket on one port, and TLS where it is given a context. `fault` is what it
does instead of passing a call on: a function of the Call whose result is the answer, {"result":
...} or {"error": ...}, or a function of the socket, which says on it what it likes; then that is
hung up."""
import base64
import hashlib
import json
import re
import socket
import struct
import threading

from stems import LIMIT_S
from chain import RpcError  # stems has put its folder on the path

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Call:
    def __init__(self, chain, method, params):
        self.chain, self.method, self.params = chain, method, params

    def pass_on(self):
        """What the real one answers."""
        try:
            return {"result": self.chain.rpc(self.method, *self.params)}
        except RpcError as error:
            return {"error": {"code": error.code, "message": error.message}}


class Provider:
    def __init__(self, test, chain, tls=None, path="/"):
        self.chain, self.tls, self.path = chain, tls, path
        self.fault = None
        self.upgrade_fault = None  # likewise, in place of a WebSocket
        self.asked = []  # methods
        self.subscribers = []  # sockets
        self.open = set()
        self.errors = []  # of the test's own: they fail it
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()
        test.addCleanup(self.close)

    @property
    def http_url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.path}"

    @property
    def ws_url(self):
        return f"ws{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.path}"

    @property
    def http_name(self):
        return self.http_url.removesuffix(self.path)

    @property
    def ws_name(self):
        return self.ws_url.removesuffix(self.path)

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.hang_up()
        for thread in self.threads:
            thread.join(LIMIT_S)
        if self.errors:
            raise self.errors[0]

    def hang_up(self):
        """Ends all connections, in the middle of whatever they are."""
        with self.lock:
            for one in self.open:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other end was first

    def _accept(self):
        try:
            while True:
                accepted, _ = self.server.accept()
                thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
                self.threads.append(thread)
                thread.start()
        except OSError:
            pass  # closed

    def _serve(self, accepted):
        accepted.settimeout(LIMIT_S)
        with self.lock:
            self.open.add(accepted)
        try:
            if self.tls:
                accepted = self.tls.wrap_socket(accepted, server_side=True)
            with accepted, accepted.makefile("rb") as stream:
                while stream.readline():
                    headers = dict(re.match(rb"([^:]+): *(.*)\r\n", line).groups()
                                   for line in iter(stream.readline, b"\r\n"))
                    headers = {name.lower(): value for name, value in headers.items()}
                    if b"upgrade" in headers and self.upgrade_fault:
                        return self.upgrade_fault(accepted)
                    if b"upgrade" in headers:
                        return self._serve_socket(accepted, stream, headers)
                    size = int(headers[b"content-length"])
                    body = stream.read(size)
                    if len(body) < size:
                        return  # hung up in the middle of it
                    request = json.loads(body)
                    answer = self._answer(request)
                    if callable(answer):
                        return answer(accepted)
                    accepted.sendall(http(200, answer))
        except (OSError, AttributeError):  # hung up, also within a header
            pass
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.errors.append(error)
        finally:
            with self.lock:
                self.open = {one for one in self.open if one.fileno() >= 0}

    def _answer(self, request):
        call = Call(self.chain, request["method"], request["params"])
        self.asked.append(call.method)
        answer = self.fault(call) if self.fault else call.pass_on()
        if callable(answer):
            return answer
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()

    # WebSocket

    def _serve_socket(self, accepted, stream, headers):
        key = headers[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key).digest())
        accepted.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n")
        sending = threading.Lock()
        while True:
            kind, data = read_frame(stream)
            if kind == CLOSE:
                return
            if kind == PING:
                accepted.sendall(frame(data, PONG))
            if kind != TEXT:
                continue
            request = json.loads(data)
            if request["method"] == "eth_subscribe":
                self.subscribers.append((accepted, sending))
                answer = json.dumps({"id": request["id"], "result": "0x1"}).encode()
            else:
                answer = self._answer(request)
            with sending:
                if callable(answer):
                    return answer(accepted)
                accepted.sendall(frame(answer))

    def push(self, result):
        """To all that subscribed and are there still."""
        message = {"jsonrpc": "2.0", "method": "eth_subscription",
                   "params": {"subscription": "0x1", "result": result}}
        for accepted, sending in self.subscribers:
            try:
                with sending:
                    accepted.sendall(frame(json.dumps(message).encode()))
            except OSError:
                pass


def read_frame(stream):
    first, second = read(stream, 2)
    length = second & 127
    if length == 126:
        length, = struct.unpack("!H", read(stream, 2))
    elif length == 127:
        length, = struct.unpack("!Q", read(stream, 8))
    mask = read(stream, 4) if second & 128 else bytes(4)
    return first & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(read(stream, length)))


def read(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise OSError("hung up")
    return data


def frame(data, kind=TEXT):
    length = (struct.pack("!B", len(data)) if len(data) < 126 else
              struct.pack("!BH", 126, len(data)) if len(data) < 1 << 16 else
              struct.pack("!BQ", 127, len(data)))
    return bytes([128 | kind]) + length + data


def http(status, body, headers=""):
    return (f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def behind(chain, looks=None):
    """A fault: the chain stays as it is now, for so many looks at what is final."""
    kept, asked = {tag: chain.block(tag) for tag in ("latest", "finalized")}, []

    def fault(call):
        if call.method != "eth_getBlockByNumber" or call.params[0] not in kept:
            return call.pass_on()
        asked.append(call.params[0])
        late = looks is not None and asked.count("finalized") > looks
        return call.pass_on() if late else {"result": kept[call.params[0]]}
    return fault


# What else it may say: results of `fault`.

def says(data):
    """These bytes, and hangs up."""
    return lambda accepted: accepted.sendall(data)


def says_and_waits(data):
    """These bytes, and no more, until the other end has had enough."""
    def speak(accepted):
        accepted.sendall(data)
        while accepted.recv(65536):
            pass
    return speak


def says_without_end(data, piece, count=lambda sent: None):
    """These bytes, and the piece again and again, until the other end has had enough."""
    def speak(accepted):
        sent = 0
        accepted.sendall(data)
        while True:
            accepted.sendall(piece)
            sent += len(piece)
            count(sent)
    return speak
