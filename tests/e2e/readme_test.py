"""Every command that README.md shows does what README.md says, and its guest is the built one."""
import os
import re
import subprocess
import unittest

ROOT = os.environ["WW_ROOT"]
BUILD = os.environ["WW_BUILD"]
PEER_ID = r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}"

# What runs at length is only asked for its plan here: this test is part of `make test`.
PLANNED = {"make test": "tools/test.sh", "make lint": "tools/lint.sh",
           "make bench": "tools/bench.sh", "make fuzz-smoke": "tools/fuzz-smoke.sh"}

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    README = file.read()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


def output_after(command):
    """The block that follows the one which holds `command`."""
    for (kind, text), (next_kind, shown) in zip(BLOCKS, BLOCKS[1:]):
        if kind == "sh" and command in text.splitlines() and next_kind == "":
            return shown
    raise AssertionError(f"README.md shows no output for: {command}")


def run(command, stdin=""):
    command = command.replace("build/ww", f"'{BUILD}/ww'")
    command = command.replace("make", "make --no-print-directory")
    return subprocess.run(["sh", "-c", command], cwd=ROOT, input=stdin, capture_output=True,
                          encoding="utf-8", timeout=600, env={**os.environ, "BUILD_DIR": BUILD,
                               "WW_DATA_DIR": os.path.join(BUILD, "readme-data")})


class ReadmeTest(unittest.TestCase):
    def ok(self, command, stdin="", code=0):
        self.assertIn(command, COMMANDS)
        done = run(command, stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def test_no_command_is_left_out(self):
        tested = {"make run", "make guests", "build/ww run examples/images/shell",
                  "build/ww run examples/images/hello", "build/ww run examples/images/choir",
                  *PLANNED}
        self.assertEqual(set(COMMANDS), tested)

    def test_make_run_prints_what_is_shown(self):
        shown = re.sub(PEER_ID, "ID", output_after("make run"))
        self.assertEqual(re.sub(PEER_ID, "ID", self.ok("make run")), shown)

    def test_the_shell_answers_as_shown(self):
        command = "build/ww run examples/images/shell"
        shown = output_after(command)
        typed = re.findall(r"^ww> (.*)$", shown, re.M)
        printed = self.ok(command, "".join(f"{line}\n" for line in typed), code=3)
        # What a person types is echoed by the terminal, not by the program.
        self.assertEqual(printed, re.sub(r"^ww> .*\n", "ww> ", shown, flags=re.M))

    def test_the_guest_is_the_one_that_is_built(self):
        with open(os.path.join(ROOT, "guest/hello/hello.c++"), encoding="utf-8") as source:
            self.assertIn(source.read(), [text for kind, text in BLOCKS if kind == "cpp"])
        self.ok("make guests")
        command = "build/ww run examples/images/hello"
        self.assertEqual(self.ok(command), output_after(command))

    def test_an_image_with_files_runs(self):
        self.assertIn("choir: child-echo exited with 0\n",
                      self.ok("build/ww run examples/images/choir"))

    def test_what_runs_at_length_is_wired(self):
        for command, script in PLANNED.items():
            self.assertIn(command, COMMANDS)
            done = run(command.replace("make", "make -n"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(script, done.stdout)

    def test_the_links_lead_somewhere(self):
        for link in re.findall(r"\]\(([^)]+)\)", README):
            self.assertTrue(os.path.exists(os.path.join(ROOT, link)), link)


unittest.main()
