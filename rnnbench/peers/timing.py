"""How one thing is timed, the same for the comparison and the tracked ratios."""

import gc
import statistics
import time
from collections.abc import Callable

# A pool of threads spins for a while after its work (GNU OpenMP and ONNX Runtime: milliseconds)
# and would take a core from whatever is timed next.
PAUSE = 0.1
SECONDS, AT_LEAST = 0.15, 3


def median_seconds(run: Callable[[], object]) -> float:
    """Median seconds of a call: one untimed (it wakes threads and fills caches), then as many as
    fit into ``SECONDS``, no fewer than ``AT_LEAST``.

    (Not named time_…: asv takes every function of that name, imported ones too, for a benchmark.)
    """
    samples = []
    run()
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + SECONDS
        while len(samples) < AT_LEAST or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            samples.append(time.perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    return statistics.median(samples)
