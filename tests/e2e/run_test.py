"""`ww run` as a user sees it: exit codes, stdout and stderr, signals, the data directory."""
import os
import random
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]


class RunTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ww-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = os.path.join(self.folder, "data")

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

    def assert_refused(self, path, code, *words):
        done = self.run_ww(path)
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
            "empty.wasm": b"",
            "truncated.wasm": whole[: len(whole) // 2],
            "core.wasm": b"\0asm\1\0\0\0",
            "random.wasm": random.Random(1).randbytes(100_000),
            "zeros.wasm": bytes(64 << 20),
        }
        for name, content in cases.items():
            with self.subTest(name):
                self.assert_refused(self.write(name, content), 126, name)

    # ---- options

    def test_env_without_equals_sign(self):
        done = self.run_ww("--env", "NOTHING")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"")
        self.assertIn("=", done.stderr.decode())

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

    def test_a_spoilt_code_cache_is_not_trusted(self):
        good = self.run_ww()
        spoilt = 0
        for folder, _, names in os.walk(os.path.join(self.data, "code")):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "r+b") as file:
                    file.seek(os.path.getsize(path) // 2)
                    file.write(b"spoilt")
                spoilt += 1
        self.assertGreater(spoilt, 0)
        again = self.run_ww()
        self.assertEqual((again.returncode, again.stdout), (0, good.stdout))


if __name__ == "__main__":
    unittest.main()
