"""components.py WW WASM COUNT: runs damaged copies of a component; the node must never crash.

Each is the component with some bytes changed, a piece cut out or its end cut off. `ww` may run it,
refuse it (126) or report its trap (134); it must not die of a signal, nor fail itself (125).
"""
import os
import random
import subprocess
import sys
import tempfile

ww, wasm, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(wasm, "rb") as file:
    whole = file.read()

with tempfile.TemporaryDirectory(prefix="ww-fuzz-") as folder:
    path = os.path.join(folder, "main.wasm")
    for seed in range(count):
        rng = random.Random(seed)
        bytes_ = bytearray(whole)
        kind = rng.randrange(3)
        if kind == 0:
            for _ in range(rng.randint(1, 8)):
                bytes_[rng.randrange(len(bytes_))] = rng.randrange(256)
        elif kind == 1:
            begin = rng.randrange(len(bytes_))
            del bytes_[begin:begin + rng.randint(1, 256)]
        else:
            del bytes_[rng.randrange(len(bytes_)):]
        with open(path, "wb") as file:
            file.write(bytes_)
        try:
            code = subprocess.run([ww, "run", "--data-dir", os.path.join(folder, "data"), path],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, timeout=20).returncode
        except subprocess.TimeoutExpired:
            continue  # a guest that spins is its own affair
        if code < 0 or code == 125:
            sys.exit(f"seed {seed}: ww ended with {code}")
print(f"{count} damaged components, no crash")
