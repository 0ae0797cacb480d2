"""A team of threads that run one kernel together, each its part.

Handing work over costs less than a microsecond: a worker is a Python thread that waits inside a
kernel, without the GIL, for an address to call. After a while without work it sleeps in Python.
No thread layer of Numba's, whose pools a fork kills and two Python threads at once upset: here a
forked child starts a team of its own, and who finds the team busy works alone.
"""

import os
import threading
from queue import SimpleQueue

import numpy as np

from rnnbench.cpu.jit import cached
from rnnbench.cpu.memory import Block, address
from rnnbench.cpu.native import (
    announce,
    exchange,
    invoke2,
    load_acquire,
    rest,
    store_release,
    wait_while,
    word,
)

# Words of a worker's box, on cache lines of their own: the number of the last job handed over (by
# the caller), of the last one done and whether it is awake (by the worker), whether it must stay
# awake (by the caller), then the job. SLEEPERS: whether the caller sleeps until it is done.
GIVEN, DONE, SLEEPERS, AWAKE, WANTED, KERNEL, TABLE, PART = 0, 8, 9, 16, 24, 1, 2, 3
BOX = 32
SPINS = 10_000  # rests before a worker sleeps: about a fifth of a millisecond


@cached
def serve(box, last):
    """Do jobs until none has come for a while and none is wanted; the number of the last one."""
    spins = 0
    exchange(box + 8 * AWAKE, 1)
    while True:
        given = load_acquire(box + 8 * GIVEN)
        if given != last:
            invoke2(word(box, KERNEL), (word(box, TABLE), word(box, PART)))
            last = given
            announce(box + 8 * DONE, given, box + 8 * SLEEPERS)
            spins = 0
        elif spins > SPINS:
            exchange(box + 8 * AWAKE, 0)  # in one order with the caller's wish
            if load_acquire(box + 8 * WANTED) == 0:
                return last
            exchange(box + 8 * AWAKE, 1)
            spins = 0
        else:
            rest()
            spins += 1


@cached
def together(kernel, table, boxes, parts):
    """Run parts 1 … of a kernel on the workers whose boxes' addresses are given, part 0 here."""
    for i in range(1, parts):
        box = boxes[i - 1]
        store_release(box + 8 * KERNEL, kernel)
        store_release(box + 8 * TABLE, table.ctypes.data)
        store_release(box + 8 * PART, i)
        store_release(box + 8 * GIVEN, word(box, GIVEN) + 1)
    invoke2(kernel, (table.ctypes.data, 0))
    for i in range(1, parts):
        box = boxes[i - 1]
        done = load_acquire(box + 8 * DONE)
        while done != word(box, GIVEN):
            done = wait_while(box + 8 * DONE, done, box + 8 * SLEEPERS)


def aligned(count: int) -> np.ndarray:
    """int64 zeros that begin on a cache line."""
    words = Block(8 * count).view((count,), np.int64)
    words.fill(0)
    return words


class Worker:
    """A thread and its box. It ends with the process."""

    def __init__(self, number: int):
        self.box = aligned(BOX)
        self.wake = SimpleQueue()
        self.thread = threading.Thread(target=self._live, name=f"rnnbench-{number}", daemon=True)
        self.thread.start()

    def _live(self):
        address, last = self.box.ctypes.data, 0
        while True:
            self.wake.get()
            last = serve(address, last)

    def stay(self) -> None:
        """Be awake until ``leave``."""
        self.box[WANTED] = 1
        if not self.box[AWAKE]:
            self.wake.put(None)

    def leave(self) -> None:
        self.box[WANTED] = 0


class Team:
    """Workers 1, 2, …; the caller is the first of the team."""

    def __init__(self):
        self.lock = threading.Lock()
        self.workers: list[Worker] = []
        self.boxes = np.zeros(0, np.int64)
        self.barriers, self.first_barrier = aligned(0), 0

    def grow(self, parts: int) -> None:
        while len(self.workers) < parts - 1:
            self.workers.append(Worker(len(self.workers) + 1))
        if len(self.boxes) < parts - 1:
            self.boxes = np.array([w.box.ctypes.data for w in self.workers])
            self.barriers = aligned(16 * (parts + 1))
            self.first_barrier = address(self.barriers)


_team = Team()


def _forget() -> None:
    """In a forked child: the parent's threads are not here, and its lock may be held."""
    global _team
    _team = Team()


os.register_at_fork(after_in_child=_forget)


class Alone:
    """A team of one."""

    parts, barriers = 1, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def run(self, kernel: int, table: np.ndarray) -> None:
        """The kernel, ``void(kind, table's address, part)``."""
        together(kernel, table, NO_BOXES, 1)


ALONE, NO_BOXES = Alone(), np.zeros(0, np.int64)


class Granted:
    """The team, for one caller; a team of one where another Python thread has it. barriers: the
    address of the first of ``parts`` + 1 barriers, 128 bytes apart."""

    def __init__(self, team: Team, parts: int):
        self.team, self.parts, self.held = team, parts, False

    def __enter__(self):
        self.held = self.team.lock.acquire(blocking=False)
        if not self.held:
            return ALONE
        try:
            self.team.grow(self.parts)
        except BaseException:
            self.team.lock.release()
            raise
        self.barriers = self.team.first_barrier
        return self

    def __exit__(self, *error):
        if self.held:
            self.team.lock.release()

    def run(self, kernel: int, table: np.ndarray) -> None:
        """The kernel, ``void(kind, table's address, part)``, on all parts at once."""
        members = self.team.workers[: self.parts - 1]
        try:
            for worker in members:
                worker.stay()
            together(kernel, table, self.team.boxes, self.parts)
        finally:
            for worker in members:
                worker.leave()


def team_of(parts: int) -> Alone | Granted:
    """A context: a team of that many threads."""
    return ALONE if parts <= 1 else Granted(_team, parts)


def available() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
