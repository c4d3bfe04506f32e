"""style_test.py ROOT: what a machine can see of the house's style. Limits only ever get stricter.

Code in lines of at most 100 characters; no tabs and trailing blanks anywhere; files and functions
small enough to hold in the head."""
import pathlib
import re
import subprocess
import sys

LINE_CHARS = 100
FILE_LINES = 500
FUNCTION_LINES = 60
CODE = (".c++", ".h", ".rs", ".py", ".capnp")
SOURCES = (*CODE, ".sh", ".wit", ".cmake")
NO_FUNCTION = re.compile(r"^\s*(namespace|class|struct|union|enum|extern|impl|trait|mod|pub mod)\b")


def line_faults(name, text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE_CHARS and name.endswith(CODE):
            yield number, f"{len(line)} characters; the limit is {LINE_CHARS}"
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "blanks at its end"


def long_functions(text):
    """Blocks of code that are no type or namespace, from the outermost such brace to its end."""
    inside = None
    for number, line in enumerate(text.split("\n"), 1):
        indent = len(line) - len(line.lstrip())
        if inside is None:
            opens = line.rstrip().endswith("{") and not NO_FUNCTION.match(line)
            if opens and ("(" in line or ")" in line):
                inside = (number, indent)
        elif line.lstrip().startswith("}") and indent <= inside[1]:
            if number - inside[0] > FUNCTION_LINES:
                yield inside[0], (f"a function of {number - inside[0]} lines; "
                                  f"the limit is {FUNCTION_LINES}")
            inside = None


def faults(name, text):
    yield from line_faults(name, text)
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield lines, f"a file of {lines} lines; the limit is {FILE_LINES}"
    if name.endswith((".c++", ".h", ".rs")):
        yield from long_functions(text)


def count(text):
    return len(list(faults("a.c++", text)))


BODY = "  f();\n"
assert count("int f() {\n" + BODY * FUNCTION_LINES + "}\n") == 1
assert count("int f() {\n" + BODY * (FUNCTION_LINES - 1) + "}\n") == 0
assert count("class A {\n" + BODY * (FUNCTION_LINES + 9) + "};\n") == 0
assert count("x" * LINE_CHARS + "\n") == 0 and count("x" * (LINE_CHARS + 1) + "\n") == 1
assert count("\tx\n") == 1 and count("x \n") == 1
assert count("\n" * FILE_LINES) == 0 and count("\n" * (FILE_LINES + 1)) == 1

root = pathlib.Path(sys.argv[1])
# What the checkout holds, whether it is committed yet or not; in a copy without git, all there is.
listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                        capture_output=True, text=True, check=False)
names = listed.stdout.splitlines() or [str(path.relative_to(root)) for path in root.rglob("*")]
checked, bad = 0, []
for name in names:
    path = root / name
    if path.is_file() and name.endswith(SOURCES) and not path.is_symlink():
        checked += 1
        bad += [f"{name}:{line}: {what}" for line, what in faults(name, path.read_text("utf-8"))]
print("\n".join(bad) or f"{checked} files keep to it")
sys.exit(1 if bad or checked == 0 else 0)
