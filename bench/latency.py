"""`ww exec` over a long way: the time from the end of the handshakes, which the client tells on its
log, to the component's first byte, in round trips. A proxy on loopback adds the way."""
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from figures import Report

WW, BUILD, ROOT = sys.argv[1:4]
REPORT = Report("latency", sys.argv[4] if len(sys.argv) > 4 else None)
ONE_WAY_S = 0.05
RUNS = 7
COMPONENT = os.path.join(BUILD, "guests/components/cell-plain.wasm")


async def carry(reader, writer):
    """Each piece, as late as the way is long, in the order they came."""
    late = asyncio.Queue()

    async def deliver():
        while True:
            due, piece = await late.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not piece:
                writer.close()
                return
            writer.write(piece)
    delivering = asyncio.create_task(deliver())
    try:
        while piece := await reader.read(65536):
            late.put_nowait((time.monotonic() + ONE_WAY_S, piece))
    except OSError:
        pass
    late.put_nowait((time.monotonic() + ONE_WAY_S, b""))
    await delivering


class Proxy:
    def __init__(self, port):
        self.target = port
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()
        ready.wait()

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    async def accept(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


def first_byte(address, key):
    """Seconds from the link to the first byte."""
    with subprocess.Popen(
            [WW, "exec", "--log-level", "debug", "--on", address, "--identity", key, COMPONENT,
             "--", "out", "26"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            if b"linked to the node" in line:
                break
        linked = time.perf_counter()
        if process.stdout.read(1) != b"a":
            sys.exit(f"ww exec failed: {process.stderr.read().decode()}")
        return time.perf_counter() - linked


def main():
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as data:
        key = os.path.join(data, "key")
        name = subprocess.run([WW, "keygen", key], check=True, capture_output=True,
                              encoding="utf-8").stdout.strip()
        node = subprocess.Popen(
            [WW, "run", "--data-dir", data, "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0",
             "--allow", name, os.path.join(ROOT, "examples/images/shell")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            for line in node.stderr:
                if found := re.search(rb"address=/ip4/127.0.0.1/tcp/(\d+)/p2p/(\S+)", line):
                    break
            port, peer = int(found.group(1)), found.group(2).decode()
            near = f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}"
            first_byte(near, key)  # from here on its code is cached
            floor = min(first_byte(near, key) for _ in range(RUNS))
            far = f"/ip4/127.0.0.1/tcp/{Proxy(port).port}/p2p/{peer}"
            taken = min(first_byte(far, key) for _ in range(RUNS))
        finally:
            node.kill()
            node.wait()
    REPORT.add("ww exec: linked -> first byte, at 100 ms", taken, "s",
               ("a round trip", 2 * ONE_WAY_S), at_most=2.4 * ONE_WAY_S,
               note=f"at 0 ms {floor * 1000:.1f} ms")


main()
