"""Trees of files for tests, and what two of them have in common."""
import os
import pathlib
import random
import struct
import subprocess

DRIVER = [os.environ["WW_IMAGES_DRIVER"]]


def make(folder, files, dirs=()):
    """A tree with these files, by path: their bytes, or how many of noise."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    for name in dirs:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            content = random.Random(name).randbytes(content)
        path.write_bytes(content)
    return folder


def listing(folder):
    """Every path with its bytes; directories with nothing."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))}


def second_version(car, out, padding=13):
    """A CAR file of version 2 around one of version 1, with an index that is none."""
    inner = pathlib.Path(car).read_bytes()
    offset = 51 + padding
    header = bytes.fromhex("0aa16776657273696f6e02") + bytes(16) + struct.pack(
        "<QQQ", offset, len(inner), 0)
    pathlib.Path(out).write_bytes(header + bytes(padding) + inner)
    return out


def run(words, *more):
    """What a program says: a content id."""
    done = subprocess.run([*words, *map(str, more)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{words} {more}: {done.stderr}")
    return done.stdout.strip()
