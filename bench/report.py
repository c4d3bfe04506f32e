"""report.py gather LINES MICRO OUT: the rows of one run (a JSON object a line), and what Google
Benchmark wrote, if it ran, as one JSON document with the machine they are from.

report.py write RESULTS DOCUMENT: puts a run's tables and charts into the document, between
`<!-- figures: PART... -->` and `<!-- end -->`, and between `<!-- targets -->` and `<!-- end -->`
which targets are met. What the run has no figures of stays as it was."""
import json
import math
import os
import platform
import re
import subprocess
import sys
import time

MARKED = re.compile(r"(<!-- figures: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TARGETS = re.compile(r"(<!-- targets -->\n).*?(<!-- end -->)", re.DOTALL)
EVERY_PART = ("echo", "spawn", "streams", "idle", "epoch", "threads", "network", "start")
BAR_CHARS = 36
EIGHTHS = " ▏▎▍▌▋▊▉"
BEYOND = 5  # times the largest figure: a ceiling above that is off the chart


# ------------------------------------------------------------------------------------- gather

def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    root = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"],
                          capture_output=True, encoding="utf-8", check=False)
    return done.stdout.strip() or "unknown"


def machine():
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "processor": processor(),
            "cores": os.cpu_count(), "kernel": platform.release(), "commit": commit(),
            "load": float(os.environ.get("WW_BENCH_LOAD", "nan"))}


def nanoseconds(value):
    return f"{value:.1f} ns" if value < 1000 else f"{value / 1000:.2f} us"


def micro_rows(path):
    """Each benchmark of a family `NAME/...` beside the family's first."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        runs = [run for run in json.load(file)["benchmarks"]
                if run.get("aggregate_name", "median") == "median"]
    firsts, rows = {}, []
    for run in sorted(runs, key=lambda run: run["family_index"]):
        name = run["run_name"]
        family, value = name.split("/")[0], run["cpu_time"]
        row = {"part": "micro", "figure": name, "unit": "s", "value": value * 1e-9,
               "shown": nanoseconds(value)}
        if family in firsts:
            first, limit = firsts[family]
            row["ceiling"] = {"name": first, "value": limit * 1e-9, "shown": nanoseconds(limit)}
            row["part_of_ceiling"] = limit / value
        firsts.setdefault(family, (name, value))
        rows.append(row)
    return rows


def gather(lines, micro, out):
    rows = []
    if os.path.exists(lines):
        with open(lines, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    rows += micro_rows(micro)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"machine": machine(), "figures": rows}, file, indent=1)
        file.write("\n")
    missed = [row for row in rows if row.get("met") is False]
    print(f"{len(rows)} figures in {out}; {len(missed)} short of their targets")


# ------------------------------------------------------------------------------------- write

def bar(length):
    eighths = max(1, round(length * BAR_CHARS * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def share(part):
    """Rounded down: what is short of a target does not read as if it were not."""
    return f"{math.floor(part * 100) / 100:.2f}"


def table(rows):
    yield "| figure | value | ceiling | its value | part | target |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        note = f" ({row['note'].strip(' ()')})" if "note" in row else ""
        if "cannot" in row:
            yield f"| {row['figure']} | cannot: {row['cannot']} | | | | |"
            continue
        ceiling = row.get("ceiling", {"name": "", "shown": ""})
        part = share(row["part_of_ceiling"]) if "part_of_ceiling" in row else ""
        target = row.get("target", "")
        if target:
            target += ": met" if row["met"] else ": **not met**"
        yield (f"| {row['figure']}{note} | {row['shown']} | {ceiling['name']} | "
               f"{ceiling['shown']} | {part} | {target} |")


def stem_of(figure):
    """What figures of one chart share: their names but for the last part."""
    for separator in ("/", ": ", ", "):
        stem, found, _ = figure.rpartition(separator)
        if found:
            return stem + separator
    return figure


def groups(rows):
    """What shares a stem and a unit is one chart: its title, by name what is in it, and up to which
    value it goes."""
    found = {}
    for row in rows:
        if "cannot" not in row:
            found.setdefault((stem_of(row["figure"]), row["unit"]), []).append(row)
    for (stem, _), members in found.items():
        several = len({row["figure"] for row in members}) > 1
        title = stem.rstrip("/:, ") if several else members[0]["figure"]
        bars = {}
        for row in members:
            bars.setdefault(row["figure"][len(stem):] if several else "this node", row)
        scale = BEYOND * max(row["value"] for row in bars.values())
        # A ceiling as it was measured first.
        for row in members:
            ceiling = row.get("ceiling", {"value": 0})
            if ceiling["value"] > 0 and ceiling["name"] not in (r["figure"] for r in members):
                bars.setdefault(ceiling["name"], ceiling)
        yield title, bars, scale


def chart(title, bars, scale):
    """What is beyond the scale has an arrow, so that the others can be told apart."""
    most = max(row["value"] for row in bars.values() if row["value"] <= scale)
    width = max(len(name) for name in bars)
    yield title
    for name, row in bars.items():
        length = row["value"] / most if most else 0
        drawn = bar(length) if length <= 1 else bar(1) + "▶"
        yield f"  {name:{width}} {row['shown']:>11}  {drawn}"


def machine_line(where):
    return (f"One run, {where['date']}, at {where['commit']}: {where['processor']}, "
            f"{where['cores']} cores, Linux {where['kernel']}; "
            f"a load of {where['load']:.1f} before it.")


def targets(rows, where):
    """In a few lines: how many are met, and by how much the others are not."""
    aimed = [row for row in rows if "met" in row]
    missed = [row for row in aimed if not row["met"]]
    yield machine_line(where)
    yield f"Of {len(aimed)} targets {len(aimed) - len(missed)} are met" + (
        "; these are not:" if missed else ".")
    if missed:
        yield ""
        yield from table(missed)


def section(rows, where):
    yield machine_line(where)
    yield ""
    yield from table(rows)
    yield ""
    yield "```"
    for title, bars, scale in groups(rows):
        if len(bars) > 1:
            yield from chart(title, bars, scale)
    yield "```"


def write(results, document):
    with open(results, encoding="utf-8") as file:
        run = json.load(file)
    with open(document, encoding="utf-8") as file:
        text = file.read()

    def fill(match):
        parts = match.group(2).split()
        rows = [row for row in run["figures"] if row["part"] in parts]
        if not rows:
            return match.group(0)
        lines = "\n".join(section(rows, run["machine"]))
        return f"{match.group(1)}{lines}\n{match.group(3)}"
    text = MARKED.sub(fill, text)
    if {row["part"] for row in run["figures"]} >= set(EVERY_PART):
        lines = "\n".join(targets(run["figures"], run["machine"]))
        text = TARGETS.sub(lambda match: f"{match.group(1)}{lines}\n{match.group(2)}", text)
    with open(document, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    {"gather": gather, "write": write}[sys.argv[1]](*sys.argv[2:])
