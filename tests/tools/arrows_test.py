"""arrows_test.py SRC: each room includes only what its arrows allow; see docs/architecture.md."""
import pathlib
import re
import sys

ALLOWED = {
    "base": "", "link": "base", "epoch": "base", "ffi": "base", "membrane": "epoch base",
    "cell": "ffi epoch link base", "net": "ffi epoch link base",
    "image": "ffi base", "stem": "epoch base",
    "node": "membrane cell net image stem epoch link ffi base",
    "cli": "node base",
}
INCLUDE = re.compile(r'#include\s+[<"](?:\.\./)*(?:ww/)?(\w+)/')
FENCE = re.compile(r'#include\s+[<"]ww_\w+\.h')


def wrong_arrows(room, text, is_test):
    """The arrows out of one file that the picture does not have."""
    allowed = set(ALLOWED[room].split()) | {room}
    found = [other for other in INCLUDE.findall(text)
             if other in ALLOWED and other not in allowed and not is_test]
    if FENCE.search(text) and room != "ffi":
        found.append("rust")
    return found


def self_test():
    assert wrong_arrows("base", "#include <ww/ffi/engine.h>", False) == ["ffi"]
    assert wrong_arrows("cell", "#include <ww/membrane/x.h>", False) == ["membrane"]
    assert wrong_arrows("cell", '#include "../net/swarm.h"', False) == ["net"]
    assert wrong_arrows("cell", "#include <ww_engine.h>", True) == ["rust"]
    assert wrong_arrows("net", "#include <ww_swarm.h>", False) == ["rust"]
    assert wrong_arrows("cell", "#include <ww/ffi/engine.h>", False) == []


self_test()
root = pathlib.Path(sys.argv[1])
bad, files = [], 0
for path in sorted(root.rglob("*")):
    if path.suffix not in (".h", ".c++"):
        continue
    files += 1
    room = path.relative_to(root).parts[0]
    for other in wrong_arrows(room, path.read_text(), path.stem.endswith("-test")):
        bad.append(f"{path.relative_to(root)}: {room} may not include {other}")
print("\n".join(bad) or f"{files} files, every arrow is in the picture")
sys.exit(1 if bad or files == 0 else 0)
