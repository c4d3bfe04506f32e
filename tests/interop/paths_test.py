"""The ways to a peer that cannot be dialled, or of whom no address is known: relays, hole punching,
mDNS, AutoNAT. In a network namespace of its own, which has addresses as on the public internet."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from peers import OURS, SHELL, WW, InteropCase, id_of, put_away

GO = os.environ["WW_GO_PEER"].split()
INSIDE = "WW_INTEROP_NAMESPACE"
RELAY, ONE, OTHER = "5.6.7.1", "5.6.7.2", "5.6.7.3"
SETUP = ["ip link set lo up", "ip link add ww0 type veth peer name ww1", "ip link set ww1 up",
         "ip link set ww0 up multicast on",
         *(f"ip address add {ip}/24 dev ww0" for ip in (RELAY, ONE, OTHER)),
         "ip route add default dev ww0"]


def listen(ip):
    return "--listen", f"/ip4/{ip}/tcp/0"


class PathsTest(InteropCase):
    def setUp(self):
        if INSIDE not in os.environ:
            self.skipTest("there is no privilege to make a network namespace")

    def relay(self, *flags):
        """A relay of go-libp2p's."""
        relay = self.start(*GO, "-relay", "-at", RELAY, *flags)
        relay.address = relay.listening()
        return relay

    def through_a_relay(self, relay=None):
        """Ours, that listens at a relay, and its address there."""
        place = (relay or self.relay()).address
        ours = self.start(*OURS, *listen("0.0.0.0"), "--listen", f"{place}/p2p-circuit")
        return ours, ours.listening("/p2p-circuit")

    def test_a_peer_is_reached_through_a_relay_and_then_without(self):
        ours, address = self.through_a_relay()
        other = self.start(*OURS, *listen("0.0.0.0"))
        other.listening()
        self.done(other, f"dial {address}")
        self.done(other, f"echo {id_of(address)} 1000")
        while all("/p2p-circuit" in one for one in  # until a hole is punched
                  self.done(other, f"addresses {id_of(address)}")[1].split(",")):
            pass
        self.talk(other, id_of(address))  # more than a relay carries
        ours.close()

    def test_a_foreign_peer_reaches_ours_through_a_relay(self):
        ours, address = self.through_a_relay()
        theirs = self.start(*GO, "-at", OTHER)
        theirs.listening()
        self.done(theirs, f"dial {address}")
        self.done(theirs, f"ping {id_of(address)}")
        ours.close()

    def test_a_relay_that_was_gone_is_listened_at_again(self):
        relay = self.relay("-seed", "1")
        ours, address = self.through_a_relay(relay)
        port = address.split("/")[4]
        relay.close()
        self.relay("-seed", "1", "-port", port)
        self.assertEqual(ours.listening("/p2p-circuit"), address)
        other = self.start(*OURS, *listen(OTHER))
        other.listening()
        self.done(other, f"dial {address}")

    def test_a_peer_on_the_local_network_is_found(self):
        one, other = (self.start(*OURS, "--mdns", *listen(ip)) for ip in (ONE, OTHER))
        wanted = id_of(one.listening(ONE))
        other.listening()
        self.assertEqual(self.done(other, f"find {wanted}"), ["found", wanted])
        self.talk(other, wanted)

    def test_a_node_that_can_be_reached_serves_the_dht(self):
        """It does not know before somebody has dialled it back."""
        ours = self.start(*OURS, "--dht-auto", *listen(ONE))
        address = ours.listening(ONE)
        self.assertNotIn("/ipfs/kad/1.0.0", self.protocols(address))
        other = self.start(*OURS, *listen(OTHER))
        self.done(ours, f"dial {other.listening(OTHER)}")
        while "/ipfs/kad/1.0.0" not in self.protocols(address):
            pass

    def test_a_node_that_is_cut_off_is_noticed_by_whoever_has_calls_there(self):
        """Its address is gone: nothing comes from there any more, not even an end."""
        folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, folder)
        key = os.path.join(folder, "key")
        made = subprocess.run([WW, "keygen", key], check=True, capture_output=True)
        flags = (("--rpc", f"{OTHER}:0"), ("--listen", f"/ip4/{OTHER}/tcp/0"),
                 ("--listen", f"/ip4/{OTHER}/udp/0/quic-v1"))
        for number, flag in enumerate(flags):
            with self.subTest(flag):
                node = self.process("run", "--no-mdns", "--data-dir",
                                    os.path.join(folder, str(number)), *flag, "--allow",
                                    made.stdout.decode().strip(), SHELL)
                address = next(found[1] for line in node.stderr if
                               (found := re.search(rb" address=(\S+)", line)))
                client = self.process("exec", "--on", address, "--identity", key)
                self.assertEqual(client.stdout.read(4), b"ww> ")
                subprocess.run(["ip", "address", "del", f"{OTHER}/24", "dev", "ww0"], check=True)
                began = time.monotonic()
                try:
                    self.assertEqual(client.wait(120), 125)
                finally:
                    subprocess.run(["ip", "address", "add", f"{OTHER}/24", "dev", "ww0"],
                                   check=True)
                self.assertIn(b"the link to the node is gone", client.stderr.read())
                print(f"{' '.join(flag)}: noticed after {time.monotonic() - began:.1f} s",
                      flush=True)

    def process(self, *words):
        process = subprocess.Popen([WW, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(put_away, process)
        return process

    def protocols(self, address):
        """What the node there says that it speaks, to somebody new."""
        stranger = self.start(*GO, "-transport", "tcp")
        stranger.listening()
        self.done(stranger, f"dial {address}")
        spoken = stranger.hear("identified")[3].split(",")
        stranger.close()
        return spoken


def enter():
    """Starts this again in a namespace of its own, where that may be made."""
    command = ["unshare", "--map-root-user", "--net", "sh", "-ec", "\n".join([*SETUP, 'exec "$@"'])]
    if subprocess.run([*command, "sh", "true"], check=False).returncode == 0:
        os.environ[INSIDE] = "yes"
        os.execvp(command[0], [*command, "sh", sys.executable, *sys.argv])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter()
    unittest.main()
