"""What hostile peers and broken links do to a node of ours, while an honest one comes and goes.
Each prints how long the honest one took and what memory it cost; nothing of that is asserted."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from subprocess import TimeoutExpired

from peers import ECHO, OURS, SHELL, WW, InteropCase, id_of, put_away

GO = os.environ["WW_GO_PEER"].split()


def place_of(server):
    return f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"


def has_connection_to(port):
    """Whether a socket of this machine's has a connection to that port that it has not let go."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        sockets = [line.split() for line in file.readlines()[1:]]
    return any(int(words[2].split(":")[1], 16) == port and words[9] != "0" for words in sockets)


def memory_of(process, kind="VmRSS"):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith(kind))


def was_dialled(server):
    try:
        server.accept()[0].close()
        return True
    except BlockingIOError:
        return False


class AttackTest(InteropCase):
    def setUp(self):
        self.ours = self.start(*OURS)
        self.address = self.ours.listening("/tcp/")
        self.id = id_of(self.address)
        self.before = self.memory()

    def memory(self):
        return memory_of(self.ours.process)

    def node(self, *flags):
        """A whole node, which allows the key in the file that is its third part."""
        folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, folder)
        key = os.path.join(folder, "key")
        made = subprocess.run([WW, "keygen", key], check=True, capture_output=True)
        node = subprocess.Popen(
            [WW, "run", "--no-mdns", "--data-dir", os.path.join(folder, "data"), *flags,
             "--allow", made.stdout.decode().strip(), SHELL],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(put_away, node)
        address = next(word.removeprefix("address=") for line in node.stderr
                       if b" address=/" in line for word in line.decode().split()
                       if word.startswith("address="))
        return node, address, key

    def hostile(self, *flags):
        """A peer that knows ours."""
        peer = self.start(*GO, *flags)
        peer.address = peer.listening()
        self.done(peer, f"dial {self.address}")
        return peer

    def victim(self):
        """A service that is none of a stranger's business."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        server.setblocking(False)
        return server

    def an_honest_one_is_served(self, when):
        honest = self.start(*OURS)
        honest.listening("/tcp/")
        started = time.monotonic()
        self.done(honest, f"dial {self.address}")
        connected = time.monotonic()
        self.talk(honest, self.id)
        print(f"{when}: connected in {(connected - started) * 1000:.1f} ms, "
              f"served in {(time.monotonic() - connected) * 1000:.1f} ms; "
              f"memory {self.before} -> {self.memory()} MiB", flush=True)
        honest.close()

    def port(self):
        return int(self.address.split("/")[4])

    def test_half_open_handshakes(self):
        mute = [socket.create_connection(("127.0.0.1", self.port())) for _ in range(500)]
        self.addCleanup(lambda: [one.close() for one in mute])
        self.an_honest_one_is_served("500 half-open connections")

    def test_a_crowd_of_idle_strangers(self):
        hostile = self.start(*GO)
        hostile.listening()
        self.done(hostile, f"crowd {self.address} 150")
        held = int(self.done(self.ours, "peers")[1])
        self.assertLessEqual(held, 64)
        self.an_honest_one_is_served(f"a crowd of 150, of whom {held} are held")

    def test_a_crowd_that_holds_streams_makes_room_and_who_is_protected_stays(self):
        guest, honest = self.start(*GO), self.start(*OURS)
        guest_id = id_of(guest.listening())
        honest_id = id_of(honest.listening("/tcp/"))
        self.done(guest, f"dial {self.address}")
        self.done(honest, f"dial {self.address}")
        self.done(self.ours, f"protect {honest_id}")
        hostile = self.start(*GO)
        hostile.listening()
        self.done(hostile, f"crowd {self.address} 150 {ECHO}")
        self.talk(honest, self.id)
        self.assertEqual(self.ours.ask(f"addresses {guest_id}")[0], "failed")
        self.an_honest_one_is_served("a crowd of 150, each with a stream")

    def test_a_crowd_of_strangers_keeps_no_key_from_its_node(self):
        """They come from the same address, and each has a link on which it might graft."""
        _, address, key = self.node("--listen", "/ip4/127.0.0.1/tcp/0")
        for round_ in range(3):
            hostile = self.start(*GO)
            hostile.listening()
            self.done(hostile, f"crowd {address} 80 /ww/rpc/0.1.0")
            began = time.monotonic()
            done = subprocess.run([WW, "exec", "--on", address, "--identity", key],
                                  input=b"echo in\nexit 3\n", capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (3, b"ww> Echo: in\nww> "),
                             done.stderr)
            print(f"round {round_}: 80 strangers more, each with a link; the key's ww exec took "
                  f"{(time.monotonic() - began) * 1000:.0f} ms", flush=True)

    def test_keys_that_call_without_end_and_read_nothing(self):
        for way in (("--listen", "/ip4/127.0.0.1/tcp/0"), ("--rpc", "127.0.0.1:0")):
            with self.subTest(way=way[0]):
                node, address, key = self.node(*way)
                before = memory_of(node)
                deaf = [self.start(os.environ["WW_DEAF_CLIENT"], key, address) for _ in range(4)]
                calls = [int(client.hear("left")[1]) for client in deaf]
                print(f"{way[0]}: left after {calls} calls; memory {before} -> "
                      f"{memory_of(node)} MiB, at most {memory_of(node, 'VmHWM')}", flush=True)
                done = subprocess.run([WW, "exec", "--on", address, "--identity", key],
                                      input=b"exit 3\n", capture_output=True, check=False)
                self.assertEqual(done.returncode, 3, done.stderr)

    def test_eight_connections_a_peer(self):
        folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, folder)
        key = os.path.join(folder, "key")
        made = subprocess.run([WW, "keygen", key], check=True, capture_output=True)
        for _ in range(12):  # one peer, on as many machines
            twin = self.start(*OURS, key)
            twin.listening("/tcp/")
            twin.ask(f"dial {self.address}")
        held = self.done(self.ours, f"addresses {made.stdout.decode().strip()}")[1].split(",")
        self.assertEqual(len(held), 8)
        self.an_honest_one_is_served("with 8 connections of one peer")

    def test_a_thousand_streams_in_all(self):
        for _ in range(5):
            hostile = self.hostile()
            hostile.ask(f"flood {self.id} 256")
        held = int(self.done(self.ours, "streams")[1])
        self.assertLessEqual(held, 1024)
        self.assertGreater(held, 960)
        honest = self.start(*OURS)
        honest.listening("/tcp/")
        self.done(honest, f"dial {self.address}")  # others' streams take no connection's place
        self.done(honest, f"ping {self.id}")

    def test_ten_thousand_streams(self):
        hostile = self.hostile()
        hostile.tell(f"flood {self.id} 10000")
        self.an_honest_one_is_served("during 10,000 streams of one peer")
        print(" ".join(hostile.hear("flooded")), flush=True)
        self.done(hostile, f"ping {self.id}")  # its connection stands
        self.an_honest_one_is_served("after them")

    def test_a_giant_identify(self):
        hostile = self.start(*GO)
        hostile.listening()
        self.done(hostile, "grow x")
        hostile.ask(f"dial {self.address}")  # whatever comes of it
        self.an_honest_one_is_served("after an identify of 80 KiB")

    def test_a_dht_full_of_lies(self):
        hostile, honest = self.start(*GO), self.start(*OURS)
        elsewhere = self.start(*OURS)
        lies = [one.listening("/tcp/").split("/p2p/")[0] for one in (honest, elsewhere)]
        hostile.listening()
        victim = self.victim()
        lies += [place_of(victim), "/ip4/10.0.0.1/tcp/1"]
        self.done(hostile, f"poison {','.join(lies)}")
        self.done(hostile, f"dial {self.address}")
        nobody = id_of(self.start(*OURS).listening("/tcp/"))
        words = self.ours.ask(f"find {nobody}")
        self.assertEqual(words[0], "failed")
        self.assertFalse(was_dialled(victim))
        self.an_honest_one_is_served("after lies about who is where")

    def test_no_stranger_has_us_look_into_our_network(self):
        """AutoNAT dials back wherever a peer says, were it not that private places are for the
        operator alone: who lets peers in there sees what would come of it."""
        open_handed = self.start(*OURS, "--dial-private")
        for node, dialled in ((self.ours, False), (open_handed, True)):
            with self.subTest(dialled=dialled):
                address = self.address if node is self.ours else node.listening("/tcp/")
                hostile, victim = self.start(*GO), self.victim()
                hostile.listening()
                self.done(hostile, f"dial {address}")
                self.done(hostile, f"dialback {id_of(address)} {place_of(victim)}")
                self.assertEqual(was_dialled(victim), dialled)

    def test_a_dht_that_is_filled(self):
        hostile = self.hostile()
        hostile.tell(f"fill {self.id} 1280 10000")
        self.an_honest_one_is_served("while the DHT is filled")
        taken = int(hostile.hear("filled")[1])
        print(f"{taken} of 1,280 records were taken", flush=True)
        self.assertTrue(900 < taken <= 1024, taken)
        self.assertEqual(self.done(hostile, f"fill {self.id} 16 20000"), ["filled", "0"])

    def test_a_thousand_dials(self):
        silent = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.addCleanup(silent.close)
        self.ours.tell(f"dials 1000 /ip4/127.0.0.1/tcp/{silent.getsockname()[1]}")
        self.an_honest_one_is_served("during 1,000 dials that hang")
        settled = self.ours.hear("settled")
        self.assertEqual(settled[1], "1000")
        self.assertGreaterEqual(int(settled[3]), 1000 - 128, "128 are held at most")
        self.done(self.ours, f"dial {self.hostile().address}")

    def test_a_peer_that_falls_silent_is_noticed(self):
        """By our keep-alive: nothing comes from its connection, not even its end."""
        for transport in (("tcp",), ("tcp", "-no-ping"), ("quic",), ("quic", "-no-ping")):
            with self.subTest(transport):
                theirs = self.start(*GO, "-transport", *transport)
                address = theirs.listening()
                self.done(self.ours, f"dial {address}")
                self.done(self.ours, f"hold {id_of(address)}")
                theirs.process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                self.assertIn(self.ours.hear("failed", "ended")[0], ("failed", "ended"))
                print(f"{' '.join(transport)}: silence was noticed after "
                      f"{time.monotonic() - began:.1f} s", flush=True)
                self.assertEqual(self.ours.ask(f"ping {id_of(address)}")[0], "failed")

    def test_a_peer_without_ping_that_has_nothing_to_say_is_kept(self):
        theirs = self.start(*GO, "-no-ping")
        address = theirs.listening()
        self.done(self.ours, f"dial {address}")
        self.done(self.ours, f"hold {id_of(address)}")
        with self.assertRaises(TimeoutExpired):
            self.ours.process.wait(17)  # longer than who is mute is kept
        self.assertEqual(self.done(self.ours, "peers")[1], "1")

    def test_a_peer_that_stops_reading_is_left_for_good(self):
        """Though what we have sent it is in our way, its end is one of the connection too."""
        theirs = self.start(*GO, "-transport", "tcp")
        address = theirs.listening()
        port = int(address.split("/")[4])
        self.done(self.ours, f"dial {address}")
        self.assertTrue(has_connection_to(port))
        self.ours.tell(f"echo {id_of(address)} 400000000")
        self.done(self.ours, f"ping {id_of(address)}")  # it goes on
        theirs.process.send_signal(signal.SIGSTOP)
        self.assertEqual(self.ours.hear("failed", "echoed")[0], "failed")
        self.assertEqual(self.done(self.ours, "peers")[1], "0")
        began = time.monotonic()
        while has_connection_to(port):
            self.done(self.ours, "peers")
        print(f"its socket was let go {time.monotonic() - began:.1f} s later", flush=True)

    def test_a_peer_that_is_killed_in_the_middle_of_a_transfer(self):
        theirs = self.start(*GO)
        address = theirs.listening()
        self.done(self.ours, f"dial {address}")
        self.ours.tell(f"echo {id_of(address)} 400000000")
        self.done(self.ours, f"ping {id_of(address)}")  # it goes on
        theirs.process.kill()
        self.assertEqual(self.ours.hear("failed", "echoed")[0], "failed")
        self.an_honest_one_is_served("after that")

    def test_one_identity_on_two_machines(self):
        folder = tempfile.mkdtemp(prefix="ww-test-")
        self.addCleanup(shutil.rmtree, folder)
        key = os.path.join(folder, "key")
        subprocess.run([WW, "keygen", key], check=True, capture_output=True)
        twins = [self.start(*OURS, key) for _ in range(2)]
        addresses = [one.listening("/tcp/") for one in twins]
        self.assertEqual(id_of(addresses[0]), id_of(addresses[1]))
        for address in addresses:
            self.done(self.ours, f"dial {address}")
        self.talk(self.ours, id_of(addresses[0]))
        for twin in twins:
            self.done(twin, f"dial {self.address}")
            self.talk(twin, self.id)
        words = twins[0].ask(f"dial {addresses[1]}")
        self.assertEqual(words[0], "failed")
        self.assertIn("this node itself", " ".join(words))
        twins[0].close()
        self.an_honest_one_is_served("with a twin gone")


if __name__ == "__main__":
    unittest.main()
