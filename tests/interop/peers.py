"""Peers that a test starts and talks to, a line at a time: ours and those of other makes."""
import os
import unittest

from told import Told

WW = os.environ["WW"]
SHELL = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "images", "shell")
OURS = [os.environ["WW_INTEROP_DRIVER"]]
ECHO = "/ww/interop/echo"


class Peer(Told):
    def listening(self, kind=""):
        """An address, with the id at its end."""
        while kind not in (address := self.hear("listening")[1]):
            pass
        return address

    def ask(self, command):
        """What it says to that."""
        self.tell(command)
        done = {"dial": "dialled", "find": "found", "ping": "pinged", "echo": "echoed",
                "put": "put", "get": "got", "hold": "holding", "peers": "peers",
                "dials": "settled", "addresses": "addresses",
                "dialback": "answered", "crowd": "crowded", "poison": "poisoned",
                "protect": "protected", "streams": "streams", "grow": "grown",
                "flood": "flooded", "fill": "filled"}
        return self.hear(done[command.split()[0]], "failed")


def put_away(process):
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def id_of(address):
    return address.rsplit("/", 1)[1]


class InteropCase(unittest.TestCase):
    def start(self, *command):
        peer = Peer(*command)
        self.addCleanup(peer.close)
        return peer

    def done(self, peer, command):
        words = peer.ask(command)
        self.assertNotEqual(words[0], "failed", (command, words))
        return words

    def talk(self, one, other):
        """`one` is connected to the peer with that id: ping, and bytes there and back."""
        self.done(one, f"ping {other}")
        for size in (1, 3_000_000):
            self.assertEqual(self.done(one, f"echo {other} {size}"), ["echoed", str(size)])

    def both_ways(self, foreign, transport, *kinds):
        """Whoever dials: identify, ping, and streams that either opens."""
        for dialler in ("ours", "theirs"):
            with self.subTest(dialler=dialler, kinds=kinds):
                ours, theirs = self.start(*OURS), self.start(*foreign, *kinds)
                our_addr, their_addr = ours.listening(transport), theirs.listening()
                our_id, their_id = id_of(our_addr), id_of(their_addr)
                if dialler == "ours":
                    self.assertEqual(self.done(ours, f"dial {their_addr}"), ["dialled", their_id])
                else:
                    self.assertEqual(self.done(theirs, f"dial {our_addr}")[1], our_id)
                _, peer, agent, protocols = theirs.hear("identified")
                self.assertEqual(peer, our_id)
                self.assertRegex(agent, r"^wetware/\d")
                for protocol in (ECHO, "/ipfs/kad/1.0.0", "/ipfs/ping/1.0.0"):
                    self.assertIn(protocol, protocols.split(","))
                self.talk(theirs, our_id)
                self.talk(ours, their_id)

    def refuses_another_identity(self, foreign, transport):
        """An address at which somebody else answers, either way."""
        ours, theirs, third = self.start(*OURS), self.start(*foreign), self.start(*foreign)
        our_addr, their_addr = ours.listening(transport), theirs.listening()
        other = id_of(third.listening())
        words = ours.ask("dial " + their_addr.replace(id_of(their_addr), other))
        self.assertEqual(words[0], "failed")
        self.assertIn("another peer answers there", " ".join(words))
        words = theirs.ask("dial " + our_addr.replace(id_of(our_addr), other))
        self.assertEqual(words[0], "failed")
