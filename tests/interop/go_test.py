"""Our swarm and go-libp2p, on loopback."""
import os
import unittest

from peers import OURS, InteropCase, id_of

GO = os.environ["WW_GO_PEER"].split()


class GoTest(InteropCase):
    def test_tcp_with_noise(self):
        self.both_ways(GO, "/tcp/")

    def test_tcp_with_tls(self):
        self.both_ways(GO, "/tcp/", "-security", "tls")

    def test_quic(self):
        self.both_ways(GO, "/quic-v1", "-transport", "quic")

    def test_an_rsa_peer(self):
        self.both_ways(GO, "/tcp/", "-key", "rsa")

    def test_another_identity_is_refused(self):
        self.refuses_another_identity(GO, "/tcp/")

    def test_a_transport_that_the_other_lacks(self):
        ours, theirs = self.start(*OURS), self.start(*GO, "-transport", "quic")
        our_addr, their_id = ours.listening("/tcp/"), id_of(theirs.listening())
        self.assertEqual(theirs.ask(f"dial {our_addr}")[0], "failed")
        for transport in ("udp/1/webrtc-direct", "tcp/1/ws", "udp/1"):
            words = ours.ask(f"dial /ip4/127.0.0.1/{transport}/p2p/{their_id}")
            self.assertEqual(words[0], "failed")
            self.assertIn("what is dialled is an IP address", " ".join(words))
            self.assertIn(transport, " ".join(words))


if __name__ == "__main__":
    unittest.main()
