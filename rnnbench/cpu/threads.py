"""One body, run over a range by one thread or shared out over several.

Kernels release the GIL, so plain Python threads do: no thread layer of Numba's, whose pools a
fork kills and two Python threads at once upset. After a fork the child starts a pool of its own.
"""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _forget() -> None:
    """In a forked child: the parent's threads are not here, and its lock may be held."""
    global _lock
    _pools.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def available() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def share(threads: int, total: int, body, *arguments, granule: int = 1) -> None:
    """body(*arguments, lo, hi) over [0,total), split into at most ``threads`` ranges.

    Ranges begin at multiples of ``granule``. Returns when all are done; raises what a body raised.
    """
    units = -(-total // granule)
    parts = max(1, min(threads, units))
    edges = [min(total, granule * (units * i // parts)) for i in range(parts + 1)]
    if parts == 1:
        body(*arguments, 0, total)
        return
    with _lock:
        if parts not in _pools:
            _pools[parts] = ThreadPoolExecutor(parts - 1, "rnnbench")
        pool = _pools[parts]
    waiting = [pool.submit(body, *arguments, lo, hi) for lo, hi in itertools.pairwise(edges[1:])]
    body(*arguments, edges[0], edges[1])
    for future in waiting:
        future.result()
