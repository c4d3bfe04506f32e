"""session_bound_test.py SRC: every RPC server is SessionBound, but for those listed here."""
import pathlib
import re
import sys

EXCEPTIONS = {"MembraneServer": "outlives every session; it mints them",
              "KeySigner": "a client's own, and given to no session's holder",
              "ClosedMembrane": "a node's that has no epoch yet; it hands out nothing",
              "Door": "one loop's of a node, for the others of it; what comes through is bound"}
CLASS = re.compile(
    r"(?:class|struct)\s+(?:\w+::)*(\w+)\s*(?:final)?\s*:(?!:)\s*([^{;()]*?)\{", re.S)


def unbound(text):
    return [name for name, bases in CLASS.findall(text)
            if "::Server" in bases and "SessionBound" not in bases]


assert unbound("class A final: public peer::Host::Server {") == ["A"]
assert unbound("class A final\n    : public stem::Membrane<X>::Server {") == ["A"]
assert unbound("struct A: peer::Host::Server {") == ["A"]
assert unbound("class B::A final: public peer::Host::Server {") == ["A"]
assert unbound("class A: private B, public peer::Host::Server {") == ["A"]
assert unbound("class A final: public SessionBound<peer::Host> {") == []

found = {}
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
    if path.suffix in (".h", ".c++") and not path.stem.endswith("-test"):
        if path.name == "session-bound.h":
            continue  # the base itself
        for name in unbound(path.read_text()):
            found[name] = path
bad = [f"{path}: {name} is not SessionBound"
       for name, path in found.items() if name not in EXCEPTIONS]
bad += [f"{name} is listed as an exception, and is none"
        for name in EXCEPTIONS if name not in found]
print("\n".join(bad) or "every server is bound to its session, but for " + ", ".join(EXCEPTIONS))
sys.exit(1 if bad else 0)
