"""peers.py WW BUILD [JSON]: what a user would pick instead, on the same work where it can do it:
the start of a process up to the first line of what it runs, spawns, and the memory of one that
idles. Run by tools/build-peers.sh, whose variables say where each is. Beside each stands this node,
as the same run measured it (JSON holds what it did)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from figures import Report
from start import median_of, timed

WW, BUILD = sys.argv[1:3]
JSON = sys.argv[3] if len(sys.argv) > 3 else None
REPORT = Report("peers", JSON)
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
PLAIN = os.path.join(BUILD, "guests/components/cell-plain.wasm")
RUNS, SPAWNS, WORKERS, IDLE = 11, 2000, 200, 1000
PORT = 18099
NODE, WASMTIME, WORKERD, CELL = (
    os.environ[f"WW_{name}"] for name in ("NODE", "WASMTIME", "WORKERD", "PEER_WASM"))
LUNATIC, LUNATIC_CELL = os.environ.get("WW_LUNATIC"), os.environ["WW_LUNATIC_WASM"]
NO_LUNATIC = os.environ.get("WW_NO_LUNATIC", "it is not installed")


def own(figure):
    """What this run measured of this node, as a ceiling, if it did."""
    rows = []
    if JSON and os.path.exists(JSON):
        with open(JSON, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    values = [row["value"] for row in rows if row["figure"] == figure and "value" in row]
    return ("this node", values[-1]) if values else None


def said(command, **options):
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8",
                          **options).stdout.strip()


def resident(pid, kind="Pss"):
    """Of this process, in bytes: its share of what several have mapped counts once over them."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{kind}:"))


def start_row(name, command, ours):
    runs = [(timed(command)[0], timed(ours)[0]) for _ in range(RUNS)]
    value, node = median_of(runs)
    REPORT.add(f"start -> first line: {name}", value, "s", ("this node, cached", node))


def spawn_row(name, seconds, note, ours="spawns on one thread that say a word, 32 in flight"):
    REPORT.add(f"spawns on one thread: {name}", 1 / seconds, "1/s", own(ours), note=note)


def idle_row(name, each, note):
    REPORT.add(f"an idle one: {name}", each, "B", own("an idle cell with its RPC, at 1000"),
               note=note)


def own_start(work):
    image = os.path.join(work, "image")
    os.mkdir(image)
    shutil.copy(PLAIN, os.path.join(image, "main.wasm"))
    return [WW, "run", "--data-dir", os.path.join(work, "data"), image, "--", "args", "hello"]


def wasmtime(work, ours):
    config = os.path.join(work, "cache.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[cache]\ndirectory = "{os.path.join(work, "cache")}"\n')
    base = [WASMTIME, "run", "-C", f"cache-config={config}", "-W", "exceptions=y", "--argv0"]
    command = base + ["args", PLAIN, "hello"]
    timed(command)
    start_row("wasmtime run", command, ours)
    begin = time.perf_counter()
    for _ in range(RUNS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    spawn_row("wasmtime run", (time.perf_counter() - begin) / RUNS, "a process each")
    with subprocess.Popen(base + ["park", PLAIN], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        idle_row("wasmtime run", resident(process.pid), "a process each; one of them")
        process.stdin.close()


def node_wasi(ours):
    command = [NODE, "--no-warnings", "--expose-gc", os.path.join(HERE, "node.mjs")]
    start_row("Node's WASI", command + ["run", CELL], ours)
    spawn_row("Node's WASI", float(said(command + ["spawn", CELL, str(SPAWNS)])) * 1e-9,
              "a core module that says a word; no call of its host's")
    idle_row("Node's WASI", float(said(command + ["idle", CELL, str(IDLE)])),
             f"an instance that has said its word, at {IDLE}; it cannot wait")


def ask_workerd(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{path}") as answer:
        return answer.read()


def start_workerd():
    begin = time.perf_counter()
    process = subprocess.Popen(
        [WORKERD, "serve", "--experimental", os.path.join(HERE, "workerd.capnp"),
         "--socket-addr", f"http=127.0.0.1:{PORT}", "-I", os.environ["WW_NODE_MODULES"]],
        stderr=subprocess.DEVNULL)
    while True:
        try:
            ask_workerd("hello")
            return process, time.perf_counter() - begin
        except urllib.error.URLError:
            if process.poll() is not None:
                sys.exit("workerd has ended")


def workerd(ours):
    runs = []
    for _ in range(RUNS):
        process, seconds = start_workerd()
        process.kill()
        process.wait()
        runs.append((seconds, timed(ours)[0]))
    value, node = median_of(runs)
    REPORT.add("start -> first line: workerd", value, "s", ("this node, cached", node),
               note="to its first answer over HTTP")
    process, _ = start_workerd()
    try:
        ask_workerd("many?count=1&from=0")
        before = resident(process.pid)
        begin = time.perf_counter()
        ask_workerd(f"many?count={WORKERS}&from=1")
        each = (time.perf_counter() - begin) / WORKERS
        spawn_row("workerd", each, "a loaded worker that answers one call; it goes on",
                  "spawns on one thread, 32 in flight")
        idle_row("workerd", (resident(process.pid) - before) / WORKERS,
                 f"a loaded worker, at {WORKERS}")
    finally:
        process.kill()
        process.wait()


def lunatic(ours):
    if not LUNATIC:
        for figure in ("start -> first line", "spawns on one thread", "an idle one"):
            REPORT.cannot(f"{figure}: lunatic", NO_LUNATIC)
        return
    command = [LUNATIC, "run", LUNATIC_CELL]
    start_row("lunatic", command + ["hello", "0"], ours)
    one_core = lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    spawn_row("lunatic", float(said(command + ["spawn", str(SPAWNS)], preexec_fn=one_core)) * 1e-9,
              "a process that sends its parent a message, 32 at a time")
    sizes = []
    for count in (1, IDLE):
        with subprocess.Popen(command + ["idle", str(count)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            sizes.append(resident(process.pid))
            process.kill()
    idle_row("lunatic", (sizes[1] - sizes[0]) / (IDLE - 1), f"at {IDLE}")


def main():
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as work:
        ours = own_start(work)
        timed(ours)
        wasmtime(work, ours)
        node_wasi(ours)
        workerd(ours)
        lunatic(ours)


main()
