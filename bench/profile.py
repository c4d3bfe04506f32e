"""profile.py BENCH DOCUMENT [SUBJECT...]: where the time of one thing over and over goes, by perf.

BENCH is ww-bench, whose --profile does the subject. Puts into the document, between
`<!-- profile: SUBJECT... -->` and `<!-- end -->`, what each layer's own code takes of it, and the
functions that take most. Samples are of the processor's clock: this needs no counters, which
virtual machines seldom have."""
import os
import re
import subprocess
import sys
import tempfile

MARKED = re.compile(r"(<!-- profile: ([a-z0-9 -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
HERTZ = "4999"
BEGIN_MS = "4000"  # what is compiled and warmed up is over by then
MOST = 8  # functions that are named
COPYING = re.compile(r"^__?(memmove|memcpy|memset|memcmp)")
HEAP = re.compile(r"^_?_?(libc_)?(malloc|free|calloc|realloc|cfree|_int_|int_|unlink_chunk|"
                  r"operator (new|delete)|sysmalloc|tcache|systrim|alloc_perturb)")
ENGINE = re.compile(r"wasmtime|cranelift|wiggle|cap_std|tokio|futures|hashbrown|indexmap|"
                    r"alloc::|core::|<alloc|<core|std::|<std|__rust|bytes::|<bytes")

# C++'s containers among it, which Cap'n Proto is the one to use; Rust's std:: has other names.
CAPNP = re.compile(r"((non-)?virtual thunk to |void )*(capnp::|std::(_[A-Z]|__detail|vector|"
                   r"unordered_map|priority_queue|uncaught_exceptions|tuple|pair))")
PIPE = re.compile(r"AsyncPipe|AsyncInputStream|AsyncOutputStream|AsyncIoStream")

# Where perf finds what an engine has made.
CODE = ("[JIT]", "//anon", "anon", "memfd:", "perf-", "[anon", "[unknown]")

# By the object that the code is in, and its name there; the first that fits.
LAYERS = [
    ("the kernel", lambda o, s: "kernel" in o or o == "[k]"),
    ("guests' code", lambda o, s: o.startswith(CODE) or ".wasmtime" in o),
    ("moving bytes", lambda o, s: bool(COPYING.search(s))),
    ("the heap", lambda o, s: bool(HEAP.search(s))),
    ("our Rust", lambda o, s: "ww_" in s),
    ("Cap'n Proto", lambda o, s: bool(CAPNP.match(s))),
    ("KJ's pipe", lambda o, s: "kj::" in s and bool(PIPE.search(s))),
    ("the engine", lambda o, s: bool(ENGINE.search(s))),
    ("our C++", lambda o, s: s.startswith(("ww::", "non-virtual thunk to ww"))),
    ("KJ", lambda o, s: "kj::" in s),
    ("other", lambda o, s: True),
]


def samples(bench, subject):
    """Microseconds each, and of each (object, function) how many samples."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", HERTZ, "-D", BEGIN_MS]
        done = subprocess.run(record + ["-o", data, bench, "--profile", subject],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                              encoding="utf-8")
        script = subprocess.run(
            ["perf", "report", "-q", "-i", data, "--no-children", "--stdio", "-F", "sample,dso,sym",
             "-t", "\t"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
            encoding="utf-8")
    found = {}
    for line in script.stdout.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) < 3 or not fields[0].isdigit():
            continue
        name = re.sub(r"^\[[.k]\] ", "", fields[2])
        found[(fields[1], name)] = found.get((fields[1], name), 0) + int(fields[0])
    count, seconds = done.stdout.split()[-2:]
    return float(seconds) / int(count) * 1e6, found


def layer_of(entry):
    return next(name for name, fits in LAYERS if fits(*entry))


def brief(entry):
    name = re.sub(r"\(.*", "", entry[1]) if not entry[1].startswith("(") else entry[1]
    if name.startswith("0x"):
        name = "(no name)"
    return name if len(name) <= 72 else name[:69] + "..."


def section(subject, each, found):
    total = sum(found.values())
    layers, functions = {}, {}
    for entry, number in found.items():
        layer = layer_of(entry)
        layers[layer] = layers.get(layer, 0) + number
        key = "(all)" if layer == "guests' code" else brief(entry)
        functions[(layer, key)] = functions.get((layer, key), 0) + number
    yield f"**{subject}**: {each:.2f} us each while it was watched."
    yield ""
    yield "| layer | share | us | most of it |"
    yield "| --- | --- | --- | --- |"
    for layer, number in sorted(layers.items(), key=lambda item: -item[1]):
        most = sorted(((n, f) for (of, f), n in functions.items() if of == layer), reverse=True)
        named = ", ".join(f"`{f}` {n / total:.1%}" for n, f in most[:MOST // 2] if f != "(all)")
        yield f"| {layer} | {number / total:.1%} | {each * number / total:.2f} | {named} |"
    yield ""


def main(bench, document, *wanted):
    with open(document, encoding="utf-8") as file:
        text = file.read()

    def fill(match):
        subjects = match.group(2).split()
        if wanted and not set(subjects) & set(wanted):
            return match.group(0)
        lines = []
        for subject in subjects:
            lines += section(subject, *samples(bench, subject))
            print("\n".join(lines[-14:]), flush=True)
        return match.group(1) + "\n".join(lines) + match.group(3)
    filled = MARKED.sub(fill, text)
    with open(document, "w", encoding="utf-8") as file:
        file.write(filled)


if __name__ == "__main__":
    main(*sys.argv[1:])
