"""images.py WW IMAGE [JSON]: whole runs of an image as a CAR file, from the start of the process
until its pid0's first call was answered, each beside the same from its folder. IMAGE is a folder
whose pid0 says its first line then.

Cold: with an empty data folder, so that it is imported and compiled. Warm: not for the first time.
Once more with much beside main.wasm, which is what an image that ships data has."""
import os
import shutil
import subprocess
import sys
import tempfile

from figures import Report
from start import COLD_RUNS, WARM_RUNS, add, fresh, in_turn, timed

BESIDE = 64 << 20
CEILING, FIRST = "from a directory", "pid0's first call"


def ww(program, *words):
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return done.stdout.strip()


def pack(program, image, work):
    """Its CAR file, and its content id."""
    car, data = os.path.join(work, "app.car"), os.path.join(work, "packing")
    cid = ww(program, "image", "add", "--data-dir", data, image)
    ww(program, "image", "export", "--data-dir", data, cid, car)
    shutil.rmtree(data)
    return car, cid


def compare(report, program, image, name, cold_too):
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as work:
        car, cid = pack(program, image, work)
        data = [os.path.join(work, of) for of in ("of-car", "of-folder")]

        def run(number, *words):
            return [program, "run", "--data-dir", data[number], *words]
        from_car, from_folder = run(0, car), run(1, image)
        if cold_too:
            add(report, f"ww run app.car{name}, cold", in_turn(
                COLD_RUNS, fresh(data[0], from_car), fresh(data[1], from_folder)), CEILING, FIRST)
        for command in (from_car, from_folder):
            timed(command)
        add(report, f"ww run app.car{name}, warm", in_turn(
            WARM_RUNS, lambda: timed(from_car), lambda: timed(from_folder)), CEILING, FIRST)
        add(report, f"ww run /ipfs/CID{name}, warm", in_turn(
            WARM_RUNS, lambda: timed(run(0, f"/ipfs/{cid}")), lambda: timed(from_folder)),
            CEILING, FIRST)


def main(program, image, path=None):
    report = Report("images", path)
    compare(report, program, image, "", True)
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as large:
        shutil.copytree(image, large, dirs_exist_ok=True)
        with open(os.path.join(large, "data"), "wb") as file:
            file.write(os.urandom(BESIDE))
        compare(report, program, large, f" with {BESIDE >> 20} MiB beside", False)


if __name__ == "__main__":
    main(*sys.argv[1:])
