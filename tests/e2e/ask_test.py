"""What a node is asked and told: `ww ps`, `kill`, `logs`, `inspect`, `caps`, `peer`, and
`ww exec --detach`, by its owner and from elsewhere."""
import json
import re
import signal
import subprocess
import unittest

from nodes import LOOPBACK, WW, NodeCase, cell, ww


class AskTest(NodeCase):
    def ask(self, *words):
        return ww(*words, "--data-dir", self.data)

    def answer(self, *words):
        """What it prints as JSON."""
        done = self.ask(*words, "-o", "json")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return json.loads(done.stdout)

    def detach(self, *words):
        done = self.exec("--detach", cell("cell-plain"), "--", *words)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().strip()

    def refused(self, *words):
        done = self.ask(*words)
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        return done.stderr.decode()

    def test_a_node_that_is_stopped_is_not_waited_for(self):
        node = self.start()
        node.send_signal(signal.SIGSTOP)
        self.addCleanup(node.send_signal, signal.SIGCONT)
        self.assertIn("did not answer within 1s", self.refused("ps", "--dial-timeout", "1"))
        self.assertIn("not between 0.1 and 600", self.refused("ps", "--dial-timeout", "nan"))

    def test_the_image_itself_is_killed_and_that_is_answered(self):
        node = self.start()
        self.assertEqual(self.ask("kill", "1").stdout, b"1\n")
        self.assertEqual(node.wait(60), 137)

    def test_a_detached_cell_is_listed_inspected_followed_and_killed(self):
        self.start()
        number = self.detach("sleep", "1000000000")
        listed = self.ask("ps").stdout.decode().splitlines()
        self.assertEqual(listed[0].split()[:4], ["CELL", "PARENT", "SESSION", "STATE"])
        self.assertIn("detached", listed[2])
        self.assertTrue(listed[2].endswith("sleep 1000000000"), listed)
        found = self.answer("inspect", number)
        self.assertEqual((found["cell"], found["running"], found["detached"], found["args"]),
                         (int(number), True, True, ["sleep", "1000000000"]))
        self.assertRegex(found["component"], r"^bafkr4i[a-z2-7]{52}$")

        follow = subprocess.Popen([WW, "logs", "-f", number, "--data-dir", self.data],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away_pipes, follow)
        self.assertEqual(follow.stdout.readline(), b"asleep\n")
        self.assertEqual(self.ask("kill", number).stdout.decode(), f"{number}\n")
        self.assertEqual((follow.stdout.read(), follow.wait(60)), (b"", 0))
        self.assertEqual(self.answer("inspect", number)["exitCode"], 137)
        self.assertIn("has ended already, with 137", self.refused("kill", number))

    def put_away_pipes(self, process):
        process.kill()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()

    def test_a_log_is_there_after_the_end_also_as_json(self):
        self.start()
        number = self.detach("out", "52")
        text = "abcdefghijklmnopqrstuvwxyz" * 2
        followed = self.ask("logs", "-f", number).stdout.decode()
        self.assertEqual(sorted(followed), sorted(text + "done\n"))
        lines = [json.loads(line) for line in
                 self.ask("logs", number, "-o", "json").stdout.splitlines()]
        self.assertEqual("".join(line["text"] for line in lines), followed)

    def test_mistakes_are_named(self):
        self.start()
        for asked in ("inspect", "kill", "logs"):
            said = self.refused(asked, "99")
            self.assertIn("there is no cell 99 here, or no more; `ww ps` lists those", said)
        self.assertIn("cell 1 is not detached", self.refused("logs", "1"))
        self.assertIn("no peer id", self.refused("peer", "ping", "nobody"))
        self.assertIn("no multiaddr", self.refused("peer", "connect", "nowhere"))
        self.assertIn("must end in /p2p/", self.refused("peer", "connect", "/ip4/127.0.0.1/tcp/1"))
        done = ww("exec", "--data-dir", self.data, "--detach")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--detach takes a COMPONENT", done.stderr)

    def test_who_holds_what(self):
        node = subprocess.Popen(
            [WW, "run", "--data-dir", self.data, cell("cell-sessions"), "--", "hold"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, node)
        self.assertEqual(node.stdout.readline(), b"holding\n")
        self.detach("sleep", "1000000000")
        pid0, detached, ours = self.answer("caps")
        self.assertEqual((pid0["holder"], pid0["node"], pid0["stands"]), ("cell 1", False, True))
        self.assertEqual((detached["detached"], detached["cells"]), (True, 1))
        self.assertEqual((ours["holder"], ours["node"], ours["epoch"]), ("owner", True, 0))

    def test_another_key_sees_its_own_and_one_with_the_right_all(self):
        guest, operator = self.keygen("guest.key"), self.keygen("operator.key")
        _, address = self.start_listening("--allow", guest, "--allow", f"{operator},node")
        as_guest = ("--on", address, "--identity", self.path("guest.key"))
        as_operator = ("--on", address, "--identity", self.path("operator.key"))
        owners = self.detach("sleep", "1000000000")
        done = ww("exec", *as_guest, "--detach", cell("cell-plain"), "--", "sleep", "1000000000")
        self.assertEqual(done.returncode, 0, done.stderr)
        own = done.stdout.decode().strip()
        seen = json.loads(ww("ps", *as_guest, "-o", "json").stdout)
        self.assertEqual([c["cell"] for c in seen], [int(own)])
        done = ww("kill", owners, *as_guest)
        self.assertEqual(done.returncode, 125)
        self.assertIn(f"there is no cell {owners} here", done.stderr.decode())
        for words in (("caps",), ("peer", "ping", guest)):
            done = ww(*words, *as_guest)
            self.assertEqual(done.returncode, 125)
            self.assertIn("--allow KEY,node", done.stderr.decode())

        seen = json.loads(ww("ps", *as_operator, "-o", "json").stdout)
        self.assertEqual([c["cell"] for c in seen], [1, int(owners), int(own)])
        held = json.loads(ww("caps", *as_operator, "-o", "json").stdout)
        self.assertIn(operator, [session["holder"] for session in held])
        self.assertEqual(ww("kill", owners, *as_operator).returncode, 0)
        self.assertEqual(ww("kill", own, *as_guest).returncode, 0)

    def test_peers_are_dialled_listed_and_pinged(self):
        other, address = self.start_listening()
        peer = address.rsplit("/", 1)[1]
        self.data = self.path("second")
        self.start("--listen", LOOPBACK)
        self.assertEqual(self.answer("peer", "ls"), [])
        self.assertEqual(self.answer("peer", "connect", address), {"peerId": peer})
        (listed,) = self.answer("peer", "ls")
        self.assertEqual(listed["peerId"], peer)
        self.assertIn(re.sub("/p2p/.*", "", address), " ".join(listed["addrs"]))
        self.assertGreater(self.answer("peer", "ping", peer)["roundTripNs"], 0)
        self.assertRegex(self.ask("peer", "ping", peer).stdout, rb"^[0-9.]+ ms\n$")
        own = self.answer("peer", "id")
        self.assertNotEqual(own["peerId"], peer)
        self.assertEqual(len(own["addrs"]), 1, own)
        self.assertEqual(self.ask("peer", "id").stdout.decode(), own["peerId"] + "\n")
        other.kill()
        other.wait(60)
        self.assertIn(peer, self.refused("peer", "ping", peer))


if __name__ == "__main__":
    unittest.main()
