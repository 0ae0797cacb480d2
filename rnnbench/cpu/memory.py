"""Memory that is used again: results once nobody holds them, scratch from call to call."""

import sys
import threading

import numpy as np

ALIGNMENT = 64


def address(array: np.ndarray) -> int:
    """Where an array begins."""
    return array.__array_interface__["data"][0]


class Block:
    """``size`` bytes of any content that begin on a cache line."""

    def __init__(self, size: int, owner: np.ndarray | None = None):
        self.owner = np.empty(size + ALIGNMENT, np.uint8) if owner is None else owner
        begin = address(self.owner)
        self.first = -begin % ALIGNMENT
        self.address, self.size = begin + self.first, size

    def view(self, shape: tuple[int, ...], dtype, at: int = 0) -> np.ndarray:
        """The array ``at`` bytes on."""
        return np.ndarray(shape, dtype, self.owner, self.first + at)


class Recycler(threading.local):
    """Hands out memory, and the same memory again once every array on it is gone; each Python
    thread has a shelf of its own.

    Fresh pages cost more than what is written to them. An array of NumPy holds the one whose
    memory it shows, so that one's references tell whether somebody still looks. What has not been
    asked for in the last ``FORGET`` times is let go when new memory is needed.
    """

    FORGET = 16  # a few training steps

    def __init__(self):
        self.kept: list[np.ndarray] = []
        self.last: list[int] = []  # when each was handed out
        self.time = 0

    def take(self, size: int) -> Block:
        self.time += 1
        kept, total = self.kept, size + ALIGNMENT
        for i in range(len(kept)):
            if kept[i].size == total and sys.getrefcount(kept[i]) == UNUSED:
                self.last[i] = self.time
                return Block(size, kept[i])
        for i in reversed(range(len(kept))):
            old = self.time - self.last[i] > self.FORGET
            if old and sys.getrefcount(kept[i]) == UNUSED:
                del kept[i], self.last[i]
        block = Block(size)
        kept.append(block.owner)
        self.last.append(self.time)
        return block


# What getrefcount says of an array that only a list holds.
UNUSED = next(sys.getrefcount(kept[i]) for kept in [[np.empty(1)]] for i in [0])


class Scratch(threading.local):
    """Memory for one call at a time, grown when needed; one a Python thread."""

    def __init__(self):
        self.block = Block(0)

    def take(self, size: int) -> Block:
        """At least ``size`` bytes of any content, until the next call of ``take``."""
        if self.block.size < size:
            self.block = None  # the old goes before the new comes
            self.block = Block(size)
        return self.block
