"""The prompt of `ww exec` at a terminal: editing, history, and what is not edited."""
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import termios
import unittest

WW = os.environ["WW"]
IMAGES = os.environ["WW_IMAGES"]
UP, LEFT = b"\x1b[A", b"\x1b[D"
SEQUENCE = re.compile(rb"\r\x1b\[J|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Screen:
    """One `ww exec` at a terminal of its own; what it shows is read up to what is waited for."""

    def __init__(self, test, *words, **environment):
        self.test = test
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
            os.execv(WW, [WW, "exec", "--data-dir", test.data, *words])
        self.cooked = termios.tcgetattr(self.fd)
        test.addCleanup(self.close)

    def close(self):
        os.close(self.fd)
        if self.pid != 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self.fd, text)

    def read(self):
        """More of what is shown; False at its end."""
        ready, _, _ = select.select([self.fd], [], [], 60)
        self.test.assertTrue(ready, f"nothing more is shown after {self.seen}")
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            piece = b""
        self.seen += piece
        return len(piece) > 0

    def until(self, text):
        """What was shown up to this text, and it; the rest is for the next."""
        while text not in (shown := SEQUENCE.sub(b"", self.seen)):
            self.test.assertTrue(self.read(), f"ended without {text}: {self.seen}")
        end = shown.index(text) + len(text)
        self.seen = shown[end:]
        return shown[:end]

    def wait(self):
        """Its exit code, and all that was still shown."""
        while self.read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status), SEQUENCE.sub(b"", self.seen)


class PromptTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="ww-prompt-")
        self.addCleanup(shutil.rmtree, folder)
        self.data = os.path.join(folder, "data")
        self.history = os.path.join(self.data, "history")
        self.node = subprocess.Popen(
            [WW, "run", "--data-dir", self.data, os.path.join(IMAGES, "shell")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self.put_away)
        self.assertEqual(self.node.stdout.read(4), b"ww> ")

    def put_away(self):
        self.node.kill()
        self.node.wait(60)
        self.node.stdin.close()
        self.node.stdout.close()

    def lines(self):
        with open(self.history, encoding="utf-8") as file:
            return file.read().splitlines()

    def prompt(self, *words, **environment):
        screen = Screen(self, *words, **environment)
        screen.until(b"ww> ")
        return screen

    def test_lines_are_edited_before_they_are_sent(self):
        screen = self.prompt()
        screen.type(b"echo hxllo" + LEFT * 4 + b"\x04e\r")  # ctrl-D deletes in a line
        screen.until(b"Echo: hello\r\nww> ")
        screen.type("echo grün\x7f\x7fün\r".encode())  # one backspace a character
        screen.until("Echo: grün\r\nww> ".encode())
        screen.type(b"exit 7\r")
        self.assertEqual(screen.wait()[0], 7)

    def test_arrow_up_recalls_here_and_in_the_next_prompt(self):
        screen = self.prompt()
        for word in (b"one", b"two"):
            screen.type(b"echo " + word + b"\r")
            screen.until(b"Echo: " + word + b"\r\nww> ")
        screen.type(UP + UP + b" again\r")
        screen.until(b"Echo: one again\r\nww> ")
        screen.type(b"exit\r")
        self.assertEqual(screen.wait()[0], 0)
        self.assertEqual(self.lines(), ["echo one", "echo two", "echo one again", "exit"])
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        later = self.prompt()
        later.type(UP + UP + b"\r")
        later.until(b"Echo: one again\r\nww> ")

    def test_ctrl_d_ends_the_input_and_the_terminal_is_as_it_was(self):
        screen = self.prompt()
        edited = termios.tcgetattr(screen.fd)[3]
        self.assertFalse(edited & (termios.ICANON | termios.ECHO))
        screen.type(b"\x04")
        while termios.tcgetattr(screen.fd)[3] & termios.ICANON == 0 and screen.read():
            pass
        self.assertEqual(termios.tcgetattr(screen.fd), screen.cooked)
        self.assertEqual(screen.wait()[0], 0)

    def test_ctrl_c_kills_the_component(self):
        screen = self.prompt()
        screen.type(b"echo half")
        screen.until(b"echo half")
        screen.type(b"\x03")
        self.assertEqual(screen.wait()[0], 137)

    def test_output_that_comes_while_a_line_is_edited_does_not_break_it(self):
        screen = self.prompt()
        # Both lines are there before the answer to the first: the second is being edited then.
        screen.type(b"echo first\recho sec")
        screen.until(b"Echo: first\r\n")
        screen.until(b"ww> echo sec")
        screen.type(b"ond\r")
        screen.until(b"Echo: second\r\nww> ")

    def test_a_lone_escape_holds_nothing_up(self):
        screen = self.prompt()
        screen.type(b"echo one\r\x1b")
        screen.until(b"Echo: one\r\nww> ")

    def test_a_history_that_cannot_be_is_said_and_nothing_else_is_lost(self):
        os.mkdir(self.history)
        screen = Screen(self)
        screen.until(b"what is typed is not kept")
        screen.until(b"ww> ")
        screen.type(b"echo a\r")
        screen.until(b"Echo: a\r\nww> ")
        screen.type(UP + b"\r")
        screen.until(b"Echo: a\r\nww> ")

    def test_where_nothing_can_be_edited_nothing_changes(self):
        screen = self.prompt(TERM="dumb")
        self.assertEqual(termios.tcgetattr(screen.fd), screen.cooked)
        screen.type(b"exit 3\n")
        self.assertEqual(screen.wait()[0], 3)
        done = subprocess.run([WW, "exec", "--data-dir", self.data], input=b"echo a\nexit 4\n",
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (4, b"ww> Echo: a\nww> ", b""))
        self.assertFalse(os.path.exists(self.history))


if __name__ == "__main__":
    unittest.main()
