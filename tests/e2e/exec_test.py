"""`ww exec` and `ww keygen`, as people use them: on the local node, and across the network."""
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import time
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
        self.assertEqual(done.returncode, 126)
        self.assertIn(b"not a component", done.stderr)
        done = self.exec(self.path("nothing.wasm"))
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"no such file or folder", done.stderr)
        for content in ("/ipfs/bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354",
                        "/ipfs/none", "app.car"):
            done = self.exec(content)
            self.assertEqual((done.returncode, done.stdout), (127, b""))
            self.assertIn(f"{content}: `ww exec` takes a component that is on this".encode(),
                          done.stderr)
        done = ww("exec", "--data-dir", self.path("nobody"))
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"start one with `ww run`", done.stderr)

    def test_what_is_handed_to_whom_is_said_where_it_is_the_other(self):
        self.start("--threads", "2")
        for _ in range(3):  # on either loop
            done = self.exec(os.path.join(IMAGES, "hello"))
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b"it is a Host: `ww run` boots it with a Membrane", done.stderr)
        done = ww("run", "--data-dir", self.path("other"), cell("child-echo"), stdin=b"x\n")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"it is a Membrane: `ww exec` runs it with a Host", done.stderr)

    def test_another_users_node_is_said_to_be_that(self):
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*as_nobody, WW, "--version"], capture_output=True).returncode != 0:
            self.skipTest("no other user can run this program here")
        os.chmod(self.folder, 0o755)
        self.start()
        done = subprocess.run([*as_nobody, WW, "ps", "--on", self.data], capture_output=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertIn(b"this is another user's", done.stderr)

    def test_who_is_no_node_is_said_to_be_none(self):
        done = ww("ps", "--on", "nonsense", cwd=self.folder)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"neither a multiaddr nor a peer id", done.stderr)
        with open(self.path("plain"), "wb"):
            done = ww("ps", "--on", self.path("plain"))
        self.assertIn(b"or this is no socket", done.stderr)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path("other.sock"))
            server.listen()
            asking = subprocess.Popen([WW, "ps", "--on", self.path("other.sock")],
                                      stderr=subprocess.PIPE)
            with asking, server.accept()[0] as accepted:
                accepted.sendall(b"SSH-2.0-something else entirely\r\n" * 100)
                self.assertEqual(asking.wait(60), 125)
                said = asking.stderr.read()
        self.assertIn(b"what came over it is not Cap'n Proto RPC", said)
        self.assertNotIn(b"expected ", said)

    def test_what_could_not_be_written_here_is_no_success(self):
        self.start()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([WW, "exec", "--data-dir", self.data, cell("cell-plain"), "--",
                                   "args", "a"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"it ended with 0, but what it wrote to stdout is lost: No space left on "
                      b"device", done.stderr)

    def test_input_that_cannot_be_read_is_no_success_and_hangs_nobody(self):
        self.start()
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        done = subprocess.run([WW, "exec", "--data-dir", self.data, cell("cell-plain"), "--",
                               "cat"], stdin=folder, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"stdin could not be read: Is a directory", done.stderr)

    def test_ctrl_c_gives_up_what_is_to_be_left_to_a_node_that_is_stopped(self):
        node = self.start()
        node.send_signal(signal.SIGSTOP)
        client = self.talk_to("--data-dir", self.data, "--log-level", "debug", "--detach",
                              cell("cell-plain"), "--", "park")
        self.assertIn(b"linked to the node", client.stderr.readline())
        client.send_signal(signal.SIGINT)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"interrupted before", client.stderr.read())

    def test_a_node_does_not_take_itself_for_a_client(self):
        _, address = self.start_listening()
        done = self.exec("--on", address)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"the key to prove is that node's own", done.stderr)

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

    def test_a_file_of_keys_that_is_being_written_revokes_nobody_yet(self):
        me, other, allowed = self.keygen("me"), self.keygen("other"), self.path("allowed")
        with open(allowed, "w") as file:
            file.write(f"{other}\n{me}\n")
        _, address = self.start_listening("--allow-file", allowed)
        client = self.talk_to("--on", address, "--identity", self.path("me"))
        self.assertEqual(client.stdout.read(4), b"ww> ")
        with open(allowed, "w") as file:
            file.write(f"{other}\n")
            file.flush()
            with open(self.path("beside"), "w") as beside:
                beside.write("something that happens in the same folder\n")
            self.assertEqual(self.exec("--on", address, "--identity", self.path("other"),
                                       stdin=b"exit 4\n").returncode, 4)
            client.stdin.write(b"echo still here\n")
            client.stdin.flush()
            self.assertEqual(client.stdout.read(21), b"Echo: still here\nww> ")
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())

    def test_a_file_of_keys_that_is_cut_off_is_read_again(self):
        me, allowed = self.keygen("me"), self.path("allowed")
        with open(allowed, "w", encoding="utf-8-sig") as file:
            file.write(f"{me}\n{me} # mine\n" + "nonsense\n" * 1000)
        node = self.start("--listen", "/ip4/127.0.0.1/tcp/0", "--allow-file", allowed)
        self.assertEqual(self.logged(node, r"and more such lines .*count=(\d+)"), "991")
        address = self.logged(node, r"listening address=(\S+)")
        client = self.talk_to("--on", address, "--identity", self.path("me"))
        self.assertEqual(client.stdout.read(4), b"ww> ")
        os.truncate(allowed, 0)
        stop = time.monotonic() + 60
        with open(self.path("beside"), "w", encoding="ascii") as beside:  # what happens there
            while client.poll() is None and time.monotonic() < stop:
                beside.write("x")
                beside.flush()
                select.select([client.stderr], [], [], 0.5)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())

    def test_a_file_of_keys_is_another_when_a_link_above_it_is(self):
        me, real = self.keygen("me"), self.path("one")
        os.mkdir(real)
        os.mkdir(self.path("two"))
        os.symlink("one", self.path("current"))
        with open(os.path.join(real, "allowed"), "w", encoding="ascii") as file:
            file.write(me + "\n")
        _, address = self.start_listening("--allow-file", self.path("current/allowed"))
        client = self.talk_to("--on", address, "--identity", self.path("me"))
        self.assertEqual(client.stdout.read(4), b"ww> ")
        os.symlink("two", self.path("next"))
        os.rename(self.path("next"), self.path("current"))
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())

    def test_a_file_of_keys_that_stays_open_for_writing_is_read_at_last(self):
        me, allowed = self.keygen("me"), self.path("allowed")
        with open(allowed, "w", encoding="ascii") as file:
            file.write(me + "\n")
        _, address = self.start_listening("--allow-file", allowed)
        client = self.talk_to("--on", address, "--identity", self.path("me"))
        self.assertEqual(client.stdout.read(4), b"ww> ")
        stop = time.monotonic() + 60
        with open(allowed, "r+", encoding="ascii") as file:
            file.truncate(0)
            while client.poll() is None and time.monotonic() < stop:  # changed without end
                file.write("#\n")
                file.flush()
                select.select([client.stderr], [], [], 0.5)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"revoked: ", client.stderr.read())

    def test_why_it_trapped_is_said_to_whoever_ran_it(self):
        self.start()
        done = self.exec(cell("cell-plain"), "--", "trap")
        self.assertEqual(done.returncode, 134)
        self.assertIn(b"it trapped: wasm trap: ", done.stderr)
        done = self.exec(cell("cell-plain"), "--", "exit", "134")
        self.assertEqual((done.returncode, done.stderr), (134, b""))

    def test_one_key_runs_eight_at_once_and_a_ninth_is_told_that_it_is_one_too_many(self):
        me = self.keygen("me")
        _, address = self.start_listening("--allow", me)
        clients = [self.talk_to("--on", address, "--identity", self.path("me"))
                   for _ in range(8)]
        for client in clients:
            self.assertEqual(client.stdout.read(4), b"ww> ")
        done = self.exec("--on", address, "--identity", self.path("me"), stdin=b"exit 4\n")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"all the connections that it takes", done.stderr)
        for client in clients:
            client.stdin.write(b"exit 3\n")
            client.stdin.flush()
            self.assertEqual(client.wait(60), 3)

    def test_a_folder_of_keys_that_was_away_is_followed_again(self):
        me, folder = self.keygen("me"), self.path("keys")
        os.mkdir(folder)
        node, address = self.start_listening("--allow-file", os.path.join(folder, "allowed"))
        os.rename(folder, self.path("aside"))
        os.mkdir(folder)
        with open(os.path.join(folder, "allowed"), "w") as file:
            file.write(me + "\n")
        self.assertEqual(self.logged(node, r"keys that may graft count=(1)"), "1")
        self.assertEqual(self.exec("--on", address, "--identity", self.path("me"),
                                   stdin=b"exit 4\n").returncode, 4)

    def test_arguments_too_large_for_a_stranger_are_sent_to_who_knows_the_key(self):
        me = self.keygen("me")
        _, address = self.start_listening("--allow", me)
        large = [letter * 60_000 for letter in "abc"]
        done = self.exec("--on", address, "--identity", self.path("me"), cell("cell-plain"),
                         "--", "args", *large)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), "".join(f"60000:{word}\n" for word in large))

    def test_what_nobody_reads_holds_up_whoever_writes(self):
        me = self.keygen("me")
        _, address = self.start_listening("--allow", me)
        client = self.talk_to("--on", address, "--identity", self.path("me"), cell("cell-plain"),
                              "--", "cat")
        total, sent, piece = 64 << 20, 0, b"x" * 65536
        os.set_blocking(client.stdin.fileno(), False)
        while sent < total and select.select([], [client.stdin], [], 2)[1]:
            try:
                sent += os.write(client.stdin.fileno(), piece)
            except BlockingIOError:
                pass
        print(f"{sent / 1e6:.1f} MB were taken while nobody read", flush=True)
        self.assertLess(sent, 16 << 20)
        os.set_blocking(client.stdin.fileno(), True)
        client.stdin.close()
        self.assertEqual(len(client.stdout.read()), sent)
        self.assertEqual(client.wait(60), 0)

    def test_a_node_that_is_killed_in_the_middle_of_a_transfer(self):
        me = self.keygen("me")
        node, address = self.start_listening("--allow", me)
        with open("/dev/zero", "rb") as endless:
            client = self.talk_to("--on", address, "--identity", self.path("me"),
                                  cell("cell-plain"), "--", "cat", stdin=endless)
        self.assertEqual(len(client.stdout.read(500_000)), 500_000)
        node.kill()
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"the link to the node is gone", client.stderr.read())

    def test_a_socket_that_has_no_descriptor_to_give_serves_again(self):
        self.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        crowd = []
        for _ in range(64):  # some of them wait to be accepted
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(60)
            crowd.append(one)
            one.connect(f"{self.data}/ww.sock")
        for one in crowd:
            one.close()
        self.assertEqual(self.exec(stdin=b"exit 6\n").returncode, 6)

    @unittest.skipIf(os.geteuid() != 0, "only root can be somebody else")
    def test_another_user_is_not_served(self):
        program = shutil.copy(WW, self.path("ww"))
        nobody = 65534
        os.mkdir(self.data)
        os.chown(self.data, nobody, nobody)
        os.chmod(self.folder, 0o755)
        node = self.start(program=program, user=nobody, group=nobody, extra_groups=[])
        done = self.exec(stdin=b"exit 6\n")  # root may connect, and is not the owner
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"the link to the node is gone", done.stderr)
        mine = subprocess.run([program, "exec", "--data-dir", self.data], input=b"exit 6\n",
                              user=nobody, group=nobody, extra_groups=[], capture_output=True,
                              check=False)
        self.assertEqual(mine.returncode, 6, mine.stderr)
        self.assertIsNone(node.poll())

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

    def talk_to(self, *words, stdin=subprocess.PIPE):
        client = subprocess.Popen([WW, "exec", *words], stdin=stdin,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, client)
        return client

    def test_one_that_computes_and_never_waits_keeps_no_answer_back(self):
        self.start()
        spin = [WW, "exec", "--data-dir", self.data, cell("cell-plain"), "--", "spin"]
        args = [WW, "exec", "--data-dir", self.data, cell("cell-plain"), "--", "args", "x"]
        for _ in range(4):  # begun together: their answers wait while the first one spins
            running = [subprocess.Popen(words, stdout=subprocess.PIPE)
                       for words in [args, spin, args, args, spin, args]]
            for words, process in zip([args, spin, args, args, spin, args], running):
                with process:
                    line = process.stdout.readline()
                    if words is spin:
                        self.assertEqual(line, b"spinning\n")
                        process.send_signal(signal.SIGINT)
                    self.assertEqual(process.wait(60), 137 if words is spin else 0)

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

    def test_ctrl_c_gives_up_a_node_that_does_not_answer_its_graft(self):
        node = self.start()
        node.send_signal(signal.SIGSTOP)
        client = self.talk_to("--data-dir", self.data, "--log-level", "debug", "--dial-timeout",
                              "600", cell("cell-plain"), "--", "park")
        self.assertIn(b"linked to the node", client.stderr.readline())
        client.send_signal(signal.SIGINT)
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"interrupted before the node answered", client.stderr.read())

    def test_a_kill_before_the_component_runs_is_a_kill(self):
        self.start()
        client = self.talk_to("--data-dir", self.data, cell("bare-spin-at-start"))
        cells = []
        while len(cells) < 2:
            cells = json.loads(ww("ps", "--data-dir", self.data, "-o", "json").stdout)
        done = ww("kill", "--data-dir", self.data, str(cells[-1]["cell"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(client.wait(60), 137, client.stderr.read())

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
