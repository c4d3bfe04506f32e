"""Times whole runs of `ww`, from the start of the process: until pid0's first call is answered (it
prints a line then) and until the end. Minimum and median."""
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

WW = sys.argv[1]


def timed(command):
    """Milliseconds until the first line, and until the end."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        first = time.perf_counter()
        process.stdout.read()
        process.wait()
        end = time.perf_counter()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return (first - begin) * 1000, (end - begin) * 1000


def report(name, times, floor):
    middle = statistics.median(times)
    print(f"{name:50} min {min(times):8.1f} ms   median {middle:8.1f} ms   ({len(times)} runs)   "
          f"ceiling {floor:.1f} ms   {floor / middle:.2f}")


def report_runs(name, runs, floor):
    report(f"{name}: start -> pid0's first call", [first for first, _ in runs], floor)
    report(f"{name}: start -> exit", [end for _, end in runs], floor)


def main():
    data = tempfile.mkdtemp(prefix="ww-bench-")
    run = [WW, "run", "--data-dir", data]
    # The ceiling: a process that does nothing.
    floor = statistics.median(timed([WW, "--version"])[1] for _ in range(20))
    cold = []
    for _ in range(3):
        shutil.rmtree(data)
        cold.append(timed(run))
    report_runs("main job, cold", cold, floor)
    report_runs("main job, code cached", [timed(run) for _ in range(20)], floor)
    shutil.rmtree(data)


main()
