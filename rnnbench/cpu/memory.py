"""Memory that is used again: results once nobody holds them, scratch from call to call."""

import threading
from ctypes import addressof, c_char
from sys import getrefcount

import numpy as np

ALIGNMENT = 64
from_buffer = c_char.from_buffer


def address(array: np.ndarray) -> int:
    """Where an array's first element lies, of at least one."""
    if array.flags.carray:  # else it is read-only or has gaps: the slow way
        return addressof(from_buffer(array))
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
        self.kept: list[Block] = []
        self.last: list[int] = []  # when each was handed out
        self.time = 0

    def take(self, size: int) -> Block:
        self.time += 1
        kept = self.kept
        for i in range(len(kept)):
            block = kept[i]
            if block.size == size and (getrefcount(block), getrefcount(block.owner)) == UNUSED:
                self.last[i] = self.time
                return block
        for i in reversed(range(len(kept))):
            if self.time - self.last[i] > self.FORGET and references(kept, i) == UNUSED:
                del kept[i], self.last[i]
        block = Block(size)
        kept.append(block)
        self.last.append(self.time)
        return block


def references(blocks: list[Block], i: int) -> tuple[int, int]:
    block = blocks[i]
    return getrefcount(block), getrefcount(block.owner)


# Those of a block that only a list holds, and whoever looks.
UNUSED = references([Block(1)], 0)


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
