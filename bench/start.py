"""start.py WW BUILD WASMTIME [JSON]: times whole runs, from the start of the process until the
first line on stdout and until the end.

The main job: its pid0 says its first line once its first call is answered; its ceiling is a process
that does nothing. A plain component, which imports WASI alone, as pid0 beside `wasmtime run` of it:
that one knows no connection, so the main job's cannot run there."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

from figures import Report

COLD_RUNS, WARM_RUNS = 3, 15


def timed(command):
    """Seconds until the first line, and until the end."""
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
    return first - begin, end - begin


def in_turn(count, *runs):
    """So many rounds of `runs`: for each of them its results."""
    return list(zip(*[[run() for run in runs] for _ in range(count)]))


def median_of(pairs):
    """Of values and ceilings, the pair whose ratio is in the middle."""
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def add(report, name, rounds, ceiling_name, first="first line", at_most=(None, None)):
    values, ceilings = rounds
    for which, until in enumerate((first, "exit")):
        value, ceiling = median_of([(value[which], ceiling[which])
                                    for value, ceiling in zip(values, ceilings)])
        report.add(f"{name}: start -> {until}", value, "s", (ceiling_name, ceiling),
                   at_most=at_most[which])


def fresh(folder, command):
    def run():
        shutil.rmtree(folder, ignore_errors=True)
        return timed(command)
    return run


def main_job(report, ww, data):
    run = [ww, "run", "--data-dir", data]
    ceiling, first = "ww --version", "pid0's first call"

    def nothing():
        return timed([ww, "--version"])
    add(report, "main job, cold", in_turn(COLD_RUNS, fresh(data, run), nothing), ceiling, first)
    add(report, "main job, cached", in_turn(WARM_RUNS, lambda: timed(run), nothing), ceiling, first,
        at_most=(None, 30e-3))


def plain_component(report, ww, build, wasmtime, work):
    data, cache = os.path.join(work, "data"), os.path.join(work, "cache")
    image, config = os.path.join(work, "image"), os.path.join(work, "cache.toml")
    component = os.path.join(build, "guests/components/cell-plain.wasm")
    os.mkdir(image)
    shutil.copy(component, os.path.join(image, "main.wasm"))
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[cache]\ndirectory = "{cache}"\n')
    ours = [ww, "run", "--data-dir", data, image, "--", "args", "hello"]
    theirs = [wasmtime, "run", "-C", f"cache-config={config}", "-W", "exceptions=y",
              "--argv0", "args", component, "hello"]
    name, ceiling = "a plain component", "wasmtime run"
    add(report, f"{name}, cold", in_turn(COLD_RUNS, fresh(data, ours), fresh(cache, theirs)),
        ceiling)
    add(report, f"{name}, cached",
        in_turn(WARM_RUNS, lambda: timed(ours), lambda: timed(theirs)), ceiling)


def main(ww, build, wasmtime, path=None):
    report = Report("start", path)
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as work:
        main_job(report, ww, os.path.join(work, "data"))
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as work:
        plain_component(report, ww, build, wasmtime, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
