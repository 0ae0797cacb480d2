"""Memory that is used again: results once nobody holds them, scratch from call to call."""

import sys
import threading
from math import prod

import numpy as np

ALIGNMENT = 64


def aligned(size: int) -> np.ndarray:
    """``size`` bytes of any content that begin on a cache line."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -address(memory) % ALIGNMENT
    return memory[first : first + size]


def address(array: np.ndarray) -> int:
    """Where an array begins."""
    return array.__array_interface__["data"][0]


def view(memory: np.ndarray, shape: tuple[int, ...], dtype, at: int = 0) -> np.ndarray:
    """An array inside ``memory``, ``at`` bytes on."""
    return memory[at : at + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


class Recycler:
    """Hands out memory, and the same memory again once every array on it is gone.

    Fresh pages cost more than what is written to them. An array of NumPy holds the one whose
    memory it shows, so that one's references tell whether somebody still looks. A size that is
    not to be had empties the shelf: the caller has gone on to something else.
    """

    def __init__(self):
        self.kept: list[np.ndarray] = []
        self.lock = threading.Lock()

    def take(self, size: int) -> np.ndarray:
        """``size`` bytes of any content."""
        with self.lock:
            kept = self.kept
            free = [i for i in range(len(kept)) if sys.getrefcount(kept[i]) == UNUSED]
            for i in free:
                if kept[i].size == size + ALIGNMENT:
                    return cut(kept[i], size)
            for i in reversed(free):
                del kept[i]
            kept.append(np.empty(size + ALIGNMENT, np.uint8))
            return cut(kept[-1], size)


def cut(memory: np.ndarray, size: int) -> np.ndarray:
    first = -address(memory) % ALIGNMENT
    return memory[first : first + size]


# What getrefcount says of an array that only a list holds.
UNUSED = next(sys.getrefcount(kept[i]) for kept in [[np.empty(1)]] for i in [0])


class Scratch(threading.local):
    """Memory for one call at a time, grown when needed; one a Python thread."""

    def __init__(self):
        self.memory = aligned(0)

    def take(self, size: int) -> np.ndarray:
        """``size`` bytes of any content, until the next call of ``take``."""
        if self.memory.size < size:
            self.memory = aligned(0)  # the old goes before the new comes
            self.memory = aligned(size)
        return self.memory
