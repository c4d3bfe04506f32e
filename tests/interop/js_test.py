"""Our swarm and js-libp2p, on loopback; and the DHT, in which our node serves and asks."""
import os
import unittest

from peers import OURS, InteropCase, id_of

JS = os.environ["WW_JS_PEER"].split()


class JsTest(InteropCase):
    def test_tcp_with_noise(self):
        self.both_ways(JS, "/tcp/")

    def test_an_rsa_peer(self):
        self.both_ways(JS, "/tcp/", "--rsa")

    def test_another_identity_is_refused(self):
        self.refuses_another_identity(JS, "/tcp/")

    def meet(self, dialler, address):
        """A js node becomes known to another, whoever that is."""
        self.done(dialler, f"dial {address}")
        while dialler.hear("identified")[1] != id_of(address):
            pass

    def test_a_js_node_finds_another_through_ours(self):
        ours, one, other = self.start(*OURS), self.start(*JS), self.start(*JS)
        our_addr, one_addr = ours.listening("/tcp/"), one.listening()
        self.meet(one, our_addr)
        self.meet(other, our_addr)
        found = self.done(other, f"find {id_of(one_addr)}")
        self.assertIn(one_addr.split("/p2p/")[0], " ".join(found))

    def test_ours_finds_one_through_a_js_node(self):
        ours = self.start(*OURS, "--dial-private")
        one, other = self.start(*JS), self.start(*JS)
        one_addr, other_addr = one.listening(), other.listening()
        self.meet(other, one_addr)
        self.done(ours, f"dial {one_addr}")
        self.assertEqual(self.done(ours, f"find {id_of(other_addr)}"),
                         ["found", id_of(other_addr)])
        self.talk(ours, id_of(other_addr))

    def test_our_node_keeps_what_a_js_node_puts(self):
        ours, one, other = self.start(*OURS), self.start(*JS), self.start(*JS)
        our_addr = ours.listening("/tcp/")
        self.meet(one, our_addr)
        self.assertEqual(self.done(one, "put key value"), ["put", id_of(our_addr)])
        one.close()
        self.meet(other, our_addr)
        self.assertEqual(self.done(other, "get key"), ["got", "value", id_of(our_addr)])
        self.assertEqual(other.ask("get nothing")[0], "failed")


if __name__ == "__main__":
    unittest.main()
