"""Nodes that follow a Stem contract on a real chain, for tests run by tools/build-chain.sh."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from nodes import IMAGES, WW, NodeCase, ww

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chain"))
from chain import Chain  # noqa: E402  pylint: disable=wrong-import-position

LIMIT_S = 120  # for anything that is waited for: a test that would hang fails
SHELL = os.path.join(IMAGES, "shell")
FIRST = b"first"
METRICS = ("--metrics", "127.0.0.1:0")

# What one test had compiled, for the data folders of the next.
CODE = tempfile.TemporaryDirectory(prefix="ww-code-")


def until(ask, wanted, limit=LIMIT_S):
    """Asks again and again; the first answer that is wanted."""
    end = time.monotonic() + limit
    while not wanted(answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"after {limit} s it is still {answer}")
        time.sleep(0.02)
    return answer


class Lines:
    """What a process says, read as it comes."""

    def __init__(self, pipe):
        self.pipe, self.lines, self.read, self.ended = pipe, [], 0, False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _search(self, pattern, start, limit):
        """The match, and how many lines there are up to it."""
        end = time.monotonic() + limit
        with self.changed:
            while True:
                while start < len(self.lines):
                    start += 1
                    if found := re.search(pattern, self.lines[start - 1]):
                        return found, start
                if self.ended or not self.changed.wait(max(0, end - time.monotonic())):
                    said = "\n".join(self.lines)
                    raise AssertionError(f"no line like {pattern!r}: it said\n{said}")

    def until(self, pattern, limit=LIMIT_S):
        """The match in the first such line after the one that the last call gave."""
        found, self.read = self._search(pattern, self.read, limit)
        return found

    def find(self, pattern, limit=LIMIT_S):
        """The match in the first such line of all."""
        return self._search(pattern, 0, limit)[0]

    def all(self, pattern):
        """The first group in each line so far that matches."""
        with self.changed:
            found = [re.search(pattern, line) for line in self.lines]
        return [one.group(1) for one in found if one]

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def close(self):
        self.thread.join(LIMIT_S)
        self.pipe.close()


class StemNode:
    """One `ww run`. Its pid0 prints `pid0: epoch N`, unless another image is named; with an empty
    one the heads are its images."""

    def __init__(self, test, *flags, data=None, image=None, words=None, **options):
        self.data = data or test.data
        if not os.path.isdir(self.data):
            os.mkdir(self.data, 0o700)
            shutil.copytree(CODE.name, os.path.join(self.data, "code"))
            os.chmod(os.path.join(self.data, "code"), 0o700)
        words = words if words is not None else [] if image else ["watch"]
        image = os.path.join(IMAGES, "default") if image is None else image
        self.process = subprocess.Popen(
            [WW, "run", "--no-mdns", "--data-dir", self.data, *flags,
             *([image] if image else []), *(["--", *words] if words else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.out, self.log = Lines(self.process.stdout), Lines(self.process.stderr)
        test.addCleanup(self.close)

    def close(self):
        self.kill()
        self.out.close()
        self.log.close()
        self.process.stdin.close()
        code = os.path.join(self.data, "code")
        for name in os.listdir(code) if os.path.isdir(code) else ():
            if not os.path.exists(os.path.join(CODE.name, name)):
                shutil.copy2(os.path.join(code, name), CODE.name)

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self):
        """Its exit code, once all that it said is read."""
        code = self.process.wait(LIMIT_S)
        self.out.thread.join(LIMIT_S)
        self.log.thread.join(LIMIT_S)
        return code

    def signal(self, number):
        self.process.send_signal(number)
        return self.wait()

    def shows(self, seq):
        """Until pid0 has grafted in this epoch."""
        self.out.until(f"^pid0: epoch {seq}$")

    def epochs(self):
        return [int(seq) for seq in self.out.all(r"^pid0: epoch (\d+)$")]

    def adopted(self):
        """(epoch, head) of each that it said was final."""
        pairs = self.log.all(r"a head is final on the chain (epoch=\d+ head=\S+)")
        return [re.match(r"epoch=(\d+) head=0x(\S*)$", pair).groups() for pair in pairs]

    def write(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ww(self, command, *words, **options):
        return ww(command, "--data-dir", self.data, *words, **options)

    def ask(self, command, *words):
        """What it answers, also when the epoch moves meanwhile."""
        done = self.ww(command, "-o", "json", *words)
        if done.returncode != 0:
            raise AssertionError(f"{command}: {done.stderr.decode()}\n{self.log.text()}")
        return json.loads(done.stdout)

    def epoch(self):
        return self.ask("epoch")

    def provider(self, name):
        return next(one for one in self.epoch()["chain"]["providers"] if one["name"] == name)

    def sees(self, block, limit=LIMIT_S):
        """Until it knows of this latest block, and has acted upon what is final then."""
        def is_there(shown):
            return shown["chain"]["latest"] >= block

        return until(self.epoch, is_there, limit)

    def exit_code(self, cell):
        """None while it runs, or ends as it is looked at."""
        try:
            return self.ask("inspect", str(cell)).get("exitCode")
        except AssertionError as failure:
            if "has ended meanwhile" in str(failure):
                return None
            raise

    def get(self, path):
        """(status, body) of its HTTP."""
        address = self.log.find(r"metrics are served url=http://(\S+)/metrics").group(1)
        connection = http.client.HTTPConnection(address, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        text = self.get("/metrics")[1]
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def memory(self):
        """Bytes that it has in memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1)) << 10


class StemCase(NodeCase):
    """Each test has a chain, where a block is final when two more are there, and a contract on it,
    whose first head is."""
    SLOTS = 1

    def setUp(self):
        super().setUp()
        self.chain = Chain(slots_in_an_epoch=self.SLOTS)
        self.addCleanup(self.chain.close)
        self.stem = self.chain.deploy(FIRST)
        self.finish()

    def finish(self):
        """Mines until all that happened is final, and no more."""
        self.chain.mine(2 * self.SLOTS)

    def set_head(self, value):
        """The number of the block that has it."""
        return int(self.chain.set_head(self.stem, value)["blockNumber"], 16)

    def publish(self, value):
        """The same, and the block is the last one that is final."""
        block = self.set_head(value)
        self.finish()
        return block

    def flags(self, *urls, interval="100ms"):
        providers = [word for url in urls or (self.chain.http_url,) for word in ("--rpc-url", url)]
        return ["--stem", self.stem, *providers, "--chain-interval", interval]

    def follow(self, *flags, urls=(), interval="100ms", **options):
        return StemNode(self, *self.flags(*urls, interval=interval), *flags, **options)

    def exec(self, *words, stdin=b""):
        return ww("exec", "--data-dir", self.data, *words, stdin=stdin)

    def leave(self, *words):
        """The number of a cell that is left to the node."""
        done = self.exec("--detach", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def talk_to(self, *words):
        """A client's shell, which waits for a line."""
        client = subprocess.Popen([WW, "exec", *words], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        return client
