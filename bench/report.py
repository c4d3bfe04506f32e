"""report.py gather LINES MICRO OUT: the rows of one run (a JSON object a line), and what Google
Benchmark wrote, if it ran, as one JSON document with the machine they are from.

report.py write RESULTS DOCUMENT: puts a run's tables and charts into the document, between
`<!-- figures: PART... -->` and `<!-- end -->`. What the run has no figures of stays as it was."""
import json
import os
import platform
import re
import subprocess
import sys
import time

MARKED = re.compile(r"(<!-- figures: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BAR_CHARS = 36
EIGHTHS = " ▏▎▍▌▋▊▉"


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
            "load": os.getloadavg()[2]}


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
    for run in runs:
        name = run["run_name"]
        family, value = name.split("/")[0], run["real_time"]
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

def bar(share):
    eighths = max(1, round(share * BAR_CHARS * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def table(rows):
    yield "| figure | value | ceiling | its value | part | target |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        note = f" ({row['note'].strip(' ()')})" if "note" in row else ""
        if "cannot" in row:
            yield f"| {row['figure']} | cannot: {row['cannot']} | | | | |"
            continue
        ceiling = row.get("ceiling", {"name": "", "shown": ""})
        part = f"{row['part_of_ceiling']:.2f}" if "part_of_ceiling" in row else ""
        target = row.get("target", "")
        if target:
            target += ": met" if row["met"] else ": **not met**"
        yield (f"| {row['figure']}{note} | {row['shown']} | {ceiling['name']} | "
               f"{ceiling['shown']} | {part} | {target} |")


def groups(rows):
    """What differs in the last part of its name only, and in no unit, is one chart."""
    found = {}
    for row in rows:
        if "cannot" not in row:
            stem = row["figure"].rpartition(", ")[0] or row["figure"]
            found.setdefault((stem, row["unit"]), []).append(row)
    for (stem, _), members in found.items():
        names = {row["figure"] for row in members}
        yield (stem if len(names) > 1 else members[0]["figure"]), members


def bars(title, members):
    """One a figure, and one a ceiling as it was measured first."""
    several = len({row["figure"] for row in members}) > 1
    values = {}
    for row in members:
        name = row["figure"][len(title) + 2:] if several else "this node"
        values.setdefault(name, row)
    for row in members:
        if "ceiling" in row and row["ceiling"]["value"] > 0:
            values.setdefault(row["ceiling"]["name"], row["ceiling"])
    most = max(row["value"] for row in values.values())
    yield title
    for name, row in values.items():
        yield f"  {name:34} {row['shown']:>12}  {bar(row['value'] / most if most else 0)}"


def section(rows, where):
    yield (f"One run, {where['date']}, at {where['commit']}: {where['processor']}, "
           f"{where['cores']} cores, Linux {where['kernel']}.")
    yield ""
    yield from table(rows)
    yield ""
    yield "```"
    for title, members in groups(rows):
        yield from bars(title, members)
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
    with open(document, "w", encoding="utf-8") as file:
        file.write(MARKED.sub(fill, text))


if __name__ == "__main__":
    {"gather": gather, "write": write}[sys.argv[1]](*sys.argv[2:])
