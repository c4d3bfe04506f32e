"""A small disk of a test's own."""
import os
import subprocess

MIB = 1 << 20
TIMEOUT_S = 120


class Disk:
    """At `folder`, with mount's options, for whom it runs."""

    def __init__(self, case, folder, options):
        self.folder = folder
        os.mkdir(folder)
        self.holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o "$2,mode=700" none "$1" && '
             "echo mounted && exec cat", "sh", folder, options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        case.addCleanup(self.close)
        if self.holder.stdout.readline() != b"mounted\n":
            case.skipTest("no file system can be mounted here: that takes user namespaces")

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdin.close()
        self.holder.stdout.close()

    def run(self, *command):
        return subprocess.run(
            ["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials", *command],
            capture_output=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, check=False)

    def remount(self, options):
        done = self.run("mount", "-o", f"remount,{options}", self.folder)
        assert done.returncode == 0, done.stderr

    def path(self, name):
        """As it is seen from outside."""
        return f"/proc/{self.holder.pid}/root{self.folder}/{name}"

    def fill(self, name):
        """To the last byte."""
        with open(self.path(name), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(MIB))
            except OSError:
                pass
        free = os.statvfs(self.path(""))
        assert free.f_bavail == 0, free
