"""One body, run over a range by one thread or shared out over several.

Kernels release the GIL, so plain Python threads do: no thread layer of Numba's, whose pools a
fork kills and two Python threads at once upset. After a fork the child starts a pool of its own.
"""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

_pool: ThreadPoolExecutor | None = None
_size = 0
_lock = threading.Lock()


def _forget() -> None:
    """In a forked child: the parent's threads are not here, and its lock may be held."""
    global _pool, _size, _lock
    _pool, _size, _lock = None, 0, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def available() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def pool(size: int) -> ThreadPoolExecutor:
    """The process's pool, of at least ``size`` threads (they start when first needed).

    A smaller one is let go: its threads end with it, once nobody waits for them.
    """
    global _pool, _size
    with _lock:
        if _pool is None or _size < size:
            _pool, _size = ThreadPoolExecutor(size, "rnnbench"), size
        return _pool


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
    workers = pool(parts - 1)
    waiting = [workers.submit(body, *arguments, lo, hi) for lo, hi in itertools.pairwise(edges[1:])]
    try:
        body(*arguments, edges[0], edges[1])
    finally:
        wait(waiting)  # also after an error: the arrays may be used again
    for future in waiting:
        future.result()
