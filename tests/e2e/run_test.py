"""`ww run` as a user sees it: exit codes, stdout and stderr, signals, the data directory."""
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
COMPONENTS = os.environ["WW_COMPONENTS"]


def cell(name):
    return os.path.join(COMPONENTS, f"{name}.wasm")


class RunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Compiled once: each test starts with a copy of what a first run leaves behind.
        cls.seed = tempfile.mkdtemp(prefix="ww-e2e-seed-")
        cls.addClassCleanup(shutil.rmtree, cls.seed)
        for words in ([], [os.path.join(IMAGES, "hello")], [os.path.join(IMAGES, "shell")],
                      [cell("cell-plain")]):
            subprocess.run([WW, "run", "--data-dir", f"{cls.seed}/data", *words],
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ww-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = os.path.join(self.folder, "data")
        shutil.copytree(os.path.join(self.seed, "data"), self.data)

    def command(self, *args):
        return [WW, "run", "--data-dir", self.data, *args]

    def run_ww(self, *args, stdin=b""):
        return subprocess.run(self.command(*args), input=stdin, capture_output=True, timeout=120)

    def start_watch(self, *options):
        process = subprocess.Popen(self.command(*options, "--", "watch"), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.put_away, process)
        self.assertEqual(process.stdout.readline(), b"pid0: epoch 0\n")
        return process

    def put_away(self, process):
        process.kill()
        process.wait(60)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def main_wasm(self, image="hello"):
        with open(os.path.join(IMAGES, image, "main.wasm"), "rb") as file:
            return file.read()

    def assert_refused(self, path, code, *words, args=()):
        done = self.run_ww(path, *args)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, b"")
        for word in words:
            self.assertIn(word, done.stderr.decode())
        return done

    # ---- the main job

    def test_default_image_does_the_main_job(self):
        done = self.run_ww()
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0], "pid0: grafted in epoch 0")
        self.assertRegex(lines[1], r"^pid0: on node 12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$")
        self.assertEqual(lines[2:], ["child-echo: Echo: hello", "child-echo: Echo: world",
                                     "pid0: the child exited with 0"])

    def test_a_cell_has_so_much_and_no_more(self):
        plain = os.path.join(COMPONENTS, "cell-plain.wasm")
        for flags, words, code, said in (
                (("--cpu", "50ms"), ("spin",), 124, "a limit was hit limit=cpu"),
                (("--timeout", "200ms"), ("sleep", "3600000"), 124,
                 "a limit was hit limit=timeout"),
                (("--memory", "20m"), ("grow",), 7, "a limit was hit limit=memory")):
            with self.subTest(flags):
                done = self.run_ww(*flags, plain, "--", *words)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(said, done.stderr.decode())
        done = self.run_ww("--cpu", "1h", "--timeout", "1h", "--memory", "64m", "--max-children",
                           "1", plain, "--", "args", "fits")
        self.assertEqual((done.returncode, done.stdout), (0, b"4:fits\n"))
        bombs = os.path.join(COMPONENTS, "bombs.wasm")
        for limit, code in (("randomBytes=100", 0), ("randomBytes=99", 134)):
            done = self.run_ww("--limit", limit, bombs, "--", "random", "100")
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(b"a limit was hit limit=randomBytes cell=1 value=99", done.stderr)
        done = self.run_ww("--max-children", "0")
        self.assertIn("overloaded: descendants", done.stdout.decode() + done.stderr.decode())

    def test_the_limits_are_listed(self):
        listed = subprocess.run([WW, "limits", "--limit", "calls=7", "-o", "json"],
                                capture_output=True, timeout=60, check=True)
        values = {line["limit"]: line["value"] for line in json.loads(listed.stdout)}
        self.assertEqual((values["calls"], values["memory"], values["cpu"]), ("7", "256m", "none"))
        text = subprocess.run([WW, "limits"], capture_output=True, timeout=60, check=True).stdout
        self.assertRegex(text.decode(), r"(?m)^calls +1000 +unanswered calls of a link$")

    def test_image_as_directory_and_as_file(self):
        for path in (os.path.join(IMAGES, "hello"), os.path.join(IMAGES, "hello", "main.wasm")):
            done = self.run_ww(path)
            self.assertEqual((done.returncode, done.stdout), (0, b"epoch 0: Echo: hello\n"))

    def test_identity_is_private_and_kept(self):
        first, second = self.run_ww().stdout, self.run_ww().stdout
        self.assertEqual(first, second)
        mode = os.stat(os.path.join(self.data, "identity.key")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    # ---- bad images

    def test_missing_image(self):
        self.assert_refused(os.path.join(self.folder, "nowhere"), 127, "nowhere")
        os.mkdir(os.path.join(self.folder, "empty"))
        self.assert_refused(os.path.join(self.folder, "empty"), 127, "main.wasm")

    def test_what_is_no_component(self):
        whole = self.main_wasm()
        cases = {
            "empty": (b"", "no bytes at all"),
            "truncated": (whole[: len(whole) // 2], "out of bounds"),
            "core": (b"\0asm\1\0\0\0", "a core WebAssembly module"),
            "random": (random.Random(1).randbytes(100_000), "not WebAssembly"),
            "zeros": (bytes(64 << 20), "not WebAssembly"),
        }
        for name, (content, reason) in cases.items():
            with self.subTest(name):
                os.mkdir(os.path.join(self.folder, name))
                self.write(f"{name}/main.wasm", content)
                self.assert_refused(os.path.join(self.folder, name), 126, name, reason)

    def test_components_that_cannot_run_here(self):
        self.assert_refused(cell("bare-unknown-import"), 126, "wetware:fixtures/missing@0.1.0")
        self.assert_refused(cell("bare-no-run"), 126, "wasi:cli/run")
        self.assert_refused(cell("bare-big-memory"), 126, "could not be instantiated", "memory")

    def test_traps(self):
        self.assert_refused(cell("bare-trap-at-start"), 134, "could not be instantiated",
                            "unreachable")
        for level in ("info", "error"):
            done = self.run_ww("--log-level", level, cell("cell-plain"), "--", "trap")
            self.assertEqual(done.returncode, 134)
            self.assertIn(b"the image trapped cause=", done.stderr)
        self.assertNotIn(b"info:", done.stderr)

    def test_a_node_that_cannot_start(self):
        self.write("file", b"in the way")
        done = subprocess.run([WW, "run", "--data-dir", os.path.join(self.folder, "file")],
                              capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--data-dir", done.stderr)

    # ---- options

    def test_env_without_equals_sign(self):
        done = self.run_ww("--env", "NOTHING")
        self.assertEqual((done.returncode, done.stdout), (125, b""))
        self.assertIn(b"NOTHING has no `=`", done.stderr)

    def test_arguments_and_environment_reach_the_image(self):
        done = self.run_ww("--env", "A=B=C", "-e", "EMPTY=", cell("cell-plain"), "--", "env")
        self.assertEqual((done.returncode, done.stdout), (0, b"5:A=B=C\n6:EMPTY=\n"))
        done = self.run_ww(cell("cell-plain"), "--", "args", "", "--help", "--")
        self.assertEqual((done.returncode, done.stdout), (0, b"0:\n6:--help\n2:--\n"))

    def test_an_argument_without_dashes_is_told_where_to_stand(self):
        done = self.run_ww(cell("cell-plain"), "args")
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"those follow --", done.stderr)

    def test_every_line_of_a_json_log_is_json(self):
        os.remove(os.path.join(self.data, "identity.key"))
        for folder, _, names in os.walk(os.path.join(self.data, "code")):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o600)
                with open(os.path.join(folder, name), "r+b") as file:
                    file.truncate(os.path.getsize(file.name) - 1)
        done = self.run_ww("--log-format", "json", cell("cell-plain"), "--", "trap")
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertIn("the image trapped", [line["event"] for line in lines])

    def test_wasm_debug_names_functions(self):
        named, plain = (self.run_ww(*flags, cell("cell-named"), "--", "trap").stderr
                        for flags in (["--wasm-debug"], []))
        self.assertIn(b"plain.c++", named)
        self.assertNotIn(b"plain.c++", plain)

    def test_version_and_help(self):
        version = subprocess.run([WW, "--version"], capture_output=True, timeout=60)
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, rb"\d+\.\d+\.\d+")
        for args in (["--help"], ["run", "--help"]):
            done = subprocess.run([WW, *args], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"ww run", done.stdout)

    # ---- the shell: stdio straight through, exit codes

    def test_shell_session(self):
        done = self.run_ww(os.path.join(IMAGES, "shell"),
                           stdin=b"echo 'a  b' c\nnonsense\nexit 3\n")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"ww> ", done.stdout)
        self.assertIn(b"a  b c\n", done.stdout)
        self.assertIn(b"nonsense", done.stdout + done.stderr)

    def test_shell_ends_with_its_input(self):
        self.assertEqual(self.run_ww(os.path.join(IMAGES, "shell"), stdin=b"").returncode, 0)

    # ---- standard streams, shared with others

    def test_input_passes_through_whole(self):
        sent = random.Random(2).randbytes(3 << 20)
        done = self.run_ww(cell("cell-plain"), "--", "cat", stdin=sent)
        self.assertEqual((done.returncode, done.stdout), (0, sent))

    def test_input_that_the_image_does_not_read_is_left_alone(self):
        loop = 'while read -r line; do "$@" >/dev/null 2>&1; echo "$line"; done'
        done = subprocess.run(["sh", "-c", loop, "sh", *self.command()], input=b"1\n2\n3\n",
                              capture_output=True, timeout=120)
        self.assertEqual(done.stdout, b"1\n2\n3\n")

    def test_input_that_cannot_be_read_is_told(self):
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        done = subprocess.run(self.command(cell("cell-plain"), "--", "cat"), stdin=folder,
                              capture_output=True, timeout=120)
        self.assertIn(b"input cannot be read", done.stderr)

    def test_a_log_that_nobody_reads_holds_nothing_up(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        flags = fcntl.fcntl(writer, fcntl.F_GETFL)
        fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        fcntl.fcntl(writer, fcntl.F_SETFL, flags)
        done = subprocess.run(self.command("--log-level", "trace"), stdout=subprocess.PIPE,
                              stderr=writer, timeout=120)
        os.close(writer)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"the child exited with 0", done.stdout)

    def test_a_socket_for_a_standard_stream_keeps_its_flags(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        before = fcntl.fcntl(theirs, fcntl.F_GETFL)
        done = subprocess.run(self.command(), stdin=theirs, stdout=theirs,
                              stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(fcntl.fcntl(theirs, fcntl.F_GETFL), before)

    # ---- standard streams that are missing, full or given up

    def test_a_standard_stream_that_is_closed_is_an_empty_one(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *self.command()],
                                  capture_output=True, timeout=120)
            self.assertEqual(done.returncode, 0, (closed, done.stderr))

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(self.command(), stdout=full, stderr=subprocess.PIPE, timeout=120)
        self.assertIn(b"what the image writes is lost stream=stdout", done.stderr)
        self.assertIn(b"No space left on device", done.stderr)

    def test_a_reader_that_leaves_is_no_news(self):
        process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        self.assertEqual(process.wait(120), 0)
        self.assertNotIn(b"error", process.stderr.read())
        process.stderr.close()

    # ---- signals and epochs

    def test_signals_end_the_node(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start_watch()
            process.send_signal(number)
            self.assertEqual(process.wait(60), 128 + number)

    def test_an_advance_ends_the_session_and_pid0_grafts_again(self):
        process = self.start_watch("--advance-on-signal")
        for epoch in (1, 2):
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.stdout.readline(), b"pid0: epoch %d\n" % epoch)
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)

    # ---- what a crash or a vandal leaves behind

    def test_killed_mid_run_and_started_again(self):
        process = self.start_watch()
        process.kill()
        process.wait(60)
        self.assertEqual(self.run_ww().returncode, 0)

    def test_killed_at_any_moment_of_a_first_start(self):
        for moment in range(25):
            shutil.rmtree(self.data, ignore_errors=True)
            process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            try:
                process.wait(moment * 0.06)
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait(60)
            if moment % 5 == 4:
                done = self.run_ww()
                self.assertEqual(done.returncode, 0, done.stderr)
                left = [name for name in os.listdir(os.path.join(self.data, "code"))
                        if name.startswith(".part-")]
                self.assertLessEqual(len(left), 1)

    def test_a_spoilt_code_cache_is_not_trusted(self):
        good = self.run_ww()
        spoilt = 0
        for folder, _, names in os.walk(os.path.join(self.data, "code")):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
            for name in names:
                path = os.path.join(folder, name)
                os.chmod(path, 0o600)  # for whoever is not root
                with open(path, "r+b") as file:
                    file.seek(os.path.getsize(path) // 2)
                    file.write(b"spoilt")
                spoilt += 1
        self.assertGreater(spoilt, 0)
        again = self.run_ww()
        self.assertEqual((again.returncode, again.stdout), (0, good.stdout))


if __name__ == "__main__":
    unittest.main()
