"""How much memory a call needs, seen from outside: the peak of the process's resident size.

Linux only: it keeps the peak (VmHWM) and lets it be reset.
"""

import contextlib
import ctypes
import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rnnbench.peers.workload import Workload
from rnnbench.shapes import TINY

MEMORY = (
    "bytes. memory: the peak that the first call adds, its result included, to what is resident "
    "when inputs, weights and compiled code are ready. memory_prepared: what making these ready "
    "left resident: inputs, and weights in the library's own layout. Each in a fresh process that "
    "has run the cell at a tiny shape; null where the system keeps no peak."
)
ARENA_MAX = -8  # of glibc's mallopt
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(prepare: Callable, workload: Workload, threads: int) -> dict[str, int] | None:
    """The two figures of ``MEMORY``, by name. To be called once in a process.

    The tiny shape comes first so that libraries are loaded, threads started and kernels compiled.
    """
    # Only the main arena is given back whole: what other threads freed would be taken anew unseen.
    c_library("mallopt", ARENA_MAX, 1)
    prepare(replace(workload, shape=TINY[0]), threads)[0]()
    before = settled()
    run, arrays = prepare(workload, threads)
    ready = settled()
    if ready is None:
        return None
    result = run()
    added = peak() - ready
    del result, arrays
    return {"memory": max(0, added), "memory_prepared": max(0, ready - before)}


def settled() -> int | None:
    """What is resident once freed memory is back at the system; a new peak counts from here.

    None where there is no such thing.
    """
    gc.collect()
    c_library("malloc_trim", 0)
    try:
        RESET.write_text("5")
    except OSError:  # not Linux, or not allowed here
        return None
    return peak()


def c_library(function: str, *numbers: int) -> None:
    """Call a function of glibc; nothing where there is none, and freed memory may hide some."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*numbers)


def peak() -> int:
    """Bytes, pages of files left out: libraries' code is loaded page by page when first used."""
    lines = (line.split() for line in STATUS.read_text().splitlines())
    kilobytes = {words[0]: int(words[1]) for words in lines if words[0] in ("VmHWM:", "RssFile:")}
    return 1024 * (kilobytes["VmHWM:"] - kilobytes["RssFile:"])
