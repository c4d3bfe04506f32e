"""A process of somebody else's that does what it is told, a line at a time."""
import subprocess
import threading

LIMIT_S = 120  # after which it is ended, and what waits for it fails


class Told:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        encoding="utf-8")
        self.watchdog = threading.Timer(LIMIT_S, self.process.kill)
        self.watchdog.start()
        self.heard = []

    def close(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def hear(self, *names):
        """The words of the next line that begins with one of these, or did already."""
        for line in self.heard:
            if line.split()[0] in names:
                self.heard.remove(line)
                return line.split()
        for line in self.process.stdout:
            if line.split()[0] in names:
                return line.split()
            self.heard.append(line)
        raise AssertionError(f"no {names} from {self.process.args}; it said {self.heard}")

    def tell(self, command):
        """Without waiting for what it says to that."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
