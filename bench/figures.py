"""The figures of what is timed from outside, as ww-bench has its own (bench.h): a line each for a
person, and one JSON object a line for report.py."""
import json

# By unit: a factor, and how it is shown.
SHOWN = {
    "s": lambda v: f"{v * 1e3:.1f} ms" if v >= 1e-3 else f"{v * 1e6:.1f} us",
    "1/s": lambda v: f"{v / 1e3:.1f} k/s" if v >= 1e3 else f"{v:.1f} /s",
    "B": lambda v: f"{v / 1024:.0f} KiB" if v < 1 << 30 else f"{v / (1 << 30):.2f} GiB",
    "trips": lambda v: f"{v:.2f} trips",
}
MORE_IS_BETTER = ("1/s", "B/s")


class Report:
    """`path`: where JSON is added, if anywhere."""

    def __init__(self, part, path=None):
        self.part = part
        self.path = path
        print(f"{part:58} {'value':>12}   {'ceiling':36} {'value':>12} {'part':>6}   target")

    def add(self, figure, value, unit, ceiling=None, at_most=None, note=None):
        """`ceiling`: its name and value; `at_most`: what the value is to reach."""
        shown = SHOWN[unit](value)
        row = {"part": self.part, "figure": figure, "unit": unit, "value": value, "shown": shown}
        words = [f"{figure:58}", f"{shown:>12}  "]
        if ceiling:
            name, limit = ceiling
            row["ceiling"] = {"name": name, "value": limit, "shown": SHOWN[unit](limit)}
            part = value / limit if unit in MORE_IS_BETTER else limit / value
            row["part_of_ceiling"] = part
            words += [f"{name:36}", f"{SHOWN[unit](limit):>12}", f"{part:6.2f}  "]
        if at_most is not None:
            row["target"] = f"<= {SHOWN[unit](at_most)}"
            row["met"] = value <= at_most
            words.append(row["target"] + (": met" if row["met"] else ": NOT MET"))
        if note:
            row["note"] = note
            words.append(f"({note})")
        self.write(" ".join(words), row)

    def cannot(self, figure, why):
        self.write(f"{figure:58} cannot: {why}",
                   {"part": self.part, "figure": figure, "cannot": why})

    def write(self, line, row):
        print(line, flush=True)
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
