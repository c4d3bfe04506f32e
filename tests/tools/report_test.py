"""report_test.py BENCH: what a run's figures become in a document (bench/report.py)."""
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import report  # noqa: E402

DOCUMENT = """# Figures
<!-- figures: echo graft -->
old
<!-- end -->
By hand.
<!-- figures: spawn -->
not of this run
<!-- end -->
"""
CEILING = {"name": "native", "value": 100.0, "shown": "100.0 /s"}
ROWS = [
    {"part": "echo", "figure": "echo, bare", "unit": "1/s", "value": 50.0, "shown": "50.0 /s",
     "ceiling": CEILING, "part_of_ceiling": 0.5, "target": ">= 0.90 of it", "met": False},
    {"part": "echo", "figure": "echo, on", "unit": "1/s", "value": 25.0, "shown": "25.0 /s",
     "ceiling": CEILING, "part_of_ceiling": 0.25, "target": ">= 0.20 of it", "met": True},
    {"part": "echo", "figure": "echo, on", "unit": "1/s", "value": 25.0, "shown": "25.0 /s",
     "ceiling": {"name": "far", "value": 1e6, "shown": "1000.0 k/s"}, "part_of_ceiling": 2.5e-5},
    {"part": "graft", "figure": "graft", "cannot": "no session"},
]
MICRO = {"benchmarks": [
    {"run_name": "call/far", "family_index": 1, "aggregate_name": "median", "cpu_time": 200.0},
    {"run_name": "call/near", "family_index": 0, "aggregate_name": "median", "cpu_time": 100.0},
    {"run_name": "call/near", "family_index": 0, "aggregate_name": "mean", "cpu_time": 900.0},
]}


def put(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def written(folder):
    lines = put(folder, "lines", "".join(json.dumps(row) + "\n" for row in ROWS))
    micro = put(folder, "micro", json.dumps(MICRO))
    document, results = put(folder, "document", DOCUMENT), os.path.join(folder, "results")
    report.gather(lines, micro, results)
    report.write(results, document)
    with open(results, encoding="utf-8") as file:
        figures = json.load(file)["figures"]
    with open(document, encoding="utf-8") as file:
        return figures, file.read()


with tempfile.TemporaryDirectory() as work:
    FIGURES, TEXT = written(work)
assert "old" not in TEXT and "By hand." in TEXT and "not of this run" in TEXT
assert "| echo, bare | 50.0 /s | native | 100.0 /s | 0.50 | >= 0.90 of it: **not met** |" in TEXT
assert "0.25 | >= 0.20 of it: met |" in TEXT and "| graft | cannot: no session |" in TEXT
# One chart of what shares a name, with the ceiling once, each bar as long as its value says, unless
# it is beyond them all.
CHART = TEXT.split("```")[1].split("\n")[1:]
assert [line.split()[0] for line in CHART if line] == ["echo", "bare", "on", "native", "far"]
assert [line.count("█") for line in CHART[1:5]] == [18, 9, 36, 36]
assert [line.count("▶") for line in CHART[1:5]] == [0, 0, 0, 1]
# Of Google Benchmark's the medians, each beside the first of its family.
LAYERS = [row for row in FIGURES if row["part"] == "micro"]
assert [row["figure"] for row in LAYERS] == ["call/near", "call/far"]
assert "ceiling" not in LAYERS[0] and LAYERS[1]["part_of_ceiling"] == 0.5
print("figures become tables and charts")
