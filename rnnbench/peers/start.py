"""The figure ``start``: what a fresh process waits for, each time in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from rnnbench.peers.figures import Report, Unfit, heading, spread
from rnnbench.peers.rounds import DISAGREES, FAILED, TIMED
from rnnbench.peers.workload import TRAIN, Workload
from rnnbench.shapes import Shape, get_shape

SHAPES = (get_shape("T50B32H128"),)
COLD = 2  # processes that compile everything; some seconds each
DEFINITION = (
    "interpreter: python -c pass, from outside. import: import rnnbench, from inside. first_cold: "
    "the first forward and backward of a cell, everything loaded for it included (Numba), with an "
    "empty disk cache; first_cached: again, from that cache. loading: the part of first_cached "
    "before the call. Python's own files are compiled and in memory"
)
SCRIPT = """
import json, sys, time
times = [time.perf_counter()]
import rnnbench
times.append(time.perf_counter())
from rnnbench.peers import ours
from rnnbench.peers.workload import TRAIN, Workload
from rnnbench.shapes import get_shape
cell, shape, threads = sys.argv[1:]
begun = time.perf_counter()
rnnbench.get_cell(cell), rnnbench.get_target("cpu")
loaded = time.perf_counter()
workload = Workload(cell, get_shape(shape), TRAIN)
run, arrays = ours.prepare(workload, int(threads))
called = time.perf_counter()
result = run()
done = time.perf_counter()
wrong = workload.disagreement(arrays(result))
print(json.dumps([times[1] - times[0], loaded - begun, done - called, wrong]))
"""


def start(names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report):
    """A row for each cell and shape."""
    rows = []
    for workload in (Workload(n, s, TRAIN) for n in names for s in shapes):
        label = f"{workload.cell} {workload.shape.name}"
        rows.append(heading(workload))
        cold, warm = [], []
        try:
            for _ in range(min(COLD, rounds)):
                with tempfile.TemporaryDirectory(prefix="rnnbench-") as cache:
                    report(f"{label}, empty cache")
                    cold.append(fresh(workload, threads, cache))
                    # from each cache, as often as needed
                    for _ in range(-(-rounds // min(COLD, rounds))):
                        report(f"{label}, from the cache")
                        warm.append(fresh(workload, threads, cache))
        except Unfit as unfit:
            rows[-1] |= unfit.row()
            continue
        rows[-1] |= {
            "status": TIMED,
            "interpreter": spread(empty() for _ in warm),
            "import": spread(imported for imported, _, _ in warm),
            "first_cold": spread(loading + call for _, loading, call in cold),
            "first_cached": spread(loading + call for _, loading, call in warm),
            "loading": spread(loading for _, loading, _ in warm),
        }
    return rows


def fresh(workload: Workload, threads: int, cache: str) -> tuple[float, float, float]:
    """Seconds of the import, of loading, and of the first call, in a process with that cache."""
    arguments = workload.cell, workload.shape.name, str(threads)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        last = (ended.stderr.split("\n")[-2:] or [""])[0]
        raise Unfit(FAILED, last or f"its process ended with exit code {ended.returncode}")
    *seconds, wrong = json.loads(ended.stdout)
    if wrong:
        raise Unfit(DISAGREES, wrong)
    return tuple(seconds)


def empty() -> float:
    """Seconds of a Python that does nothing."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begun
