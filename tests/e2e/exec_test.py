"""`ww exec` and `ww keygen`, as people use them: on the local node, and across the network."""
import json
import os
import signal
import socket
import stat
import subprocess
import unittest

from nodes import IMAGES, WW, NodeCase, cell, ww


class ExecTest(NodeCase):
    def test_the_local_node_runs_a_component_and_the_shell(self):
        self.start()
        done = self.exec(cell("cell-plain"), "--", "args", "a", "b c")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"1:a\n3:b c\n", b""))
        done = self.exec(stdin=b"echo hello\nexit 7\n")
        self.assertEqual((done.returncode, done.stdout), (7, b"ww> Echo: hello\nww> "))
        done = self.exec(cell("cell-plain"), "--", "cat", stdin=b"x" * 3_000_000)
        self.assertEqual((done.returncode, done.stdout == b"x" * 3_000_000), (0, True))

    def test_what_cannot_run_is_said(self):
        self.start()
        junk = self.path("junk.wasm")
        with open(junk, "wb") as file:
            file.write(b"no component")
        done = self.exec(junk)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"not a component", done.stderr)
        done = self.exec(self.path("nothing.wasm"))
        self.assertEqual(done.returncode, 127)
        done = ww("exec", "--data-dir", self.path("nobody"))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"start one with `ww run`", done.stderr)

    def test_one_node_a_data_directory(self):
        self.start()
        second = ww("run", "--data-dir", self.data, os.path.join(IMAGES, "hello"))
        self.assertEqual((second.returncode, second.stdout), (125, b""))
        self.assertIn(b"another node runs here (process ", second.stderr)
        self.assertEqual(stat.S_IMODE(os.stat(self.data).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.data}/ww.sock").st_mode), 0o600)

    def test_a_socket_left_behind_is_replaced_and_one_that_ends_is_removed(self):
        node = self.start()
        node.kill()
        node.wait(60)
        self.assertTrue(os.path.exists(f"{self.data}/ww.sock"))
        node = self.start()
        self.assertEqual(self.exec(stdin=b"exit 5\n").returncode, 5)
        node.send_signal(signal.SIGTERM)
        node.wait(60)
        self.assertFalse(os.path.exists(f"{self.data}/ww.sock"))

    def test_a_path_too_long_for_a_socket_is_refused_by_its_length(self):
        done = ww("run", "--data-dir", self.path("x" * 120))
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertRegex(done.stderr, rb"of \d+ bytes; a socket's path may have 107")

    def test_a_key_that_is_allowed_runs_on_a_node_across_the_network(self):
        me = self.keygen("me")
        _, address = self.start_listening("--allow", me)
        done = ww("exec", "--on", address, "--identity", self.path("me"), cell("cell-plain"),
                  "--", "args", "there")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"5:there\n", b""))
        done = ww("exec", "--on", address, "--identity", self.path("me"),
                  stdin=b"echo far\nexit 9\n")
        self.assertEqual((done.returncode, done.stdout), (9, b"ww> Echo: far\nww> "))

    def test_who_may_not_is_refused(self):
        self.keygen("stranger")
        _, address = self.start_listening()
        done = ww("exec", "--on", address, "--identity", self.path("stranger"))
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertIn(b"unauthorized: ", done.stderr)
        nobody = address.rsplit("/p2p/", 1)[0]
        done = ww("exec", "--on", nobody, "--identity", self.path("stranger"))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"must end in /p2p/PEERID", done.stderr)
        other = f"{nobody}/p2p/{self.keygen('other')}"
        done = ww("exec", "--on", other, "--identity", self.path("stranger"))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"another peer answers there", done.stderr)

    def test_removing_a_key_from_the_file_ends_its_sessions(self):
        me = self.keygen("me")
        allowed = self.path("allowed")
        with open(allowed, "w") as file:
            file.write(f"# mine\n{me}\n\nnonsense\n")
        node, address = self.start_listening("--allow-file", allowed)
        client = subprocess.Popen(
            [WW, "exec", "--on", address, "--identity", self.path("me")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        with open(self.path("next"), "w") as file:
            file.write("# nobody\n")
        os.replace(self.path("next"), allowed)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())
        done = ww("exec", "--on", address, "--identity", self.path("me"))
        self.assertIn(b"unauthorized: ", done.stderr)
        self.assertIsNone(node.poll())

    def test_a_key_is_removed_where_a_link_leads(self):
        me, real = self.keygen("me"), self.path("real")
        os.mkdir(real)
        os.symlink(os.path.join("real", "keys"), self.path("allowed"))
        with open(os.path.join(real, "keys"), "w") as file:
            file.write(me + "\n")
        _, address = self.start_listening("--allow-file", self.path("allowed"))
        client = subprocess.Popen(
            [WW, "exec", "--on", address, "--identity", self.path("me")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        with open(os.path.join(real, "keys"), "w") as file:
            file.write("# nobody\n")
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())

    def test_a_node_that_is_stopped_is_not_waited_for(self):
        node = self.start()
        node.send_signal(signal.SIGSTOP)
        self.addCleanup(node.send_signal, signal.SIGCONT)
        done = ww("exec", "--data-dir", self.data, "--dial-timeout", "1")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"did not answer within 1s", done.stderr)

    def test_a_link_that_drops_is_said_and_nothing_hangs(self):
        node = self.start()
        client = subprocess.Popen([WW, "exec", "--data-dir", self.data], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        node.kill()
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"the link to the node is gone", client.stderr.read())

    def talk_to(self, *words):
        client = subprocess.Popen([WW, "exec", *words], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        return client

    def test_ctrl_c_kills_the_component_and_so_does_a_term(self):
        self.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            client = self.talk_to("--data-dir", self.data)
            self.assertEqual(client.stdout.read(4), b"ww> ")
            client.send_signal(number)
            self.assertEqual(client.wait(60), 137)

    def test_ctrl_c_twice_does_not_wait_for_a_node_that_is_stopped(self):
        node = self.start()
        client = self.talk_to("--data-dir", self.data)
        self.assertEqual(client.stdout.read(4), b"ww> ")
        node.send_signal(signal.SIGSTOP)
        while client.poll() is None:  # two that come together are one
            client.send_signal(signal.SIGINT)
        self.assertEqual(client.returncode, 125)
        self.assertIn(b"interrupted twice", client.stderr.read())

    def test_ctrl_c_gives_up_a_dial(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port, peer = silent.getsockname()[1], self.keygen("somebody")
            client = self.talk_to("--on", f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}",
                                  "--dial-timeout", "600", "--data-dir", self.data)
            accepted, _ = silent.accept()
            with accepted:
                client.send_signal(signal.SIGINT)
                self.assertEqual(client.wait(60), 125)
        self.assertIn(b"interrupted before the node was reached", client.stderr.read())

    def test_keygen_makes_a_private_file_once(self):
        done = ww("keygen", self.path("key"), "-o", "json")
        made = json.loads(done.stdout)
        self.assertEqual(made["file"], self.path("key"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("key")).st_mode), 0o600)
        again = ww("keygen", self.path("key"))
        self.assertEqual((again.returncode, again.stdout), (125, b""))
        self.assertIn(b"never overwritten", again.stderr)
        self.start("--allow", made["peerId"])
        refused = ww("run", "--data-dir", self.path("d2"), "--allow", "nonsense")
        self.assertEqual(refused.returncode, 125)
        self.assertIn(b"--allow nonsense: no key", refused.stderr)


if __name__ == "__main__":
    unittest.main()
