"""Times whole runs of `ww`: from the start of the process to its end, minimum and median."""
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

WW = sys.argv[1]


def timed(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def report(name, times):
    print(f"{name:34} min {min(times):8.1f} ms   median {statistics.median(times):8.1f} ms   "
          f"({len(times)} runs)")


def main():
    data = tempfile.mkdtemp(prefix="ww-bench-")
    run = [WW, "run", "--data-dir", data]
    cold = []
    for _ in range(3):
        shutil.rmtree(data)
        cold.append(timed(run))
    report("main job, cold", cold)
    report("main job, code cached", [timed(run) for _ in range(20)])
    report("ceiling: ww --version", [timed([WW, "--version"]) for _ in range(20)])
    shutil.rmtree(data)


main()
