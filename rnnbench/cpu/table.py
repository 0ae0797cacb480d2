"""The words of the table that tells the drivers what to do: one call, as plain integers.

A head, then a row for each stage, source, run (plan.py), use (a source that some run's matrix is
multiplied with, at one shift) and grid (grids.py). BEFORE, ONCE, AFTER and SUMS are how many grids
there are up to the end of each of these groups. Addresses and strides are in bytes. A *group* is
``Q`` vectors of units; a *line* is what a row of the batch has in a group: for each slot, Q
vectors. A *block* is ``STEPS`` time steps; its rows are (step, sequence).
"""

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from rnnbench.cpu.memory import ALIGNMENT

MOST_GATES = 16  # of a run
# fmt: off
(
    T, B, STEPS, BLOCKS, ROWS, ROW_PARTS, UNIT_PARTS, STAGES, INPUT_RUNS, RUNS, USES,
    LENGTHS, RAGGED, BARRIERS, PACK, PACK_DUAL, X, X_ROW, X_VECTORS, DY, DY_ROW, ZEROS, DX, DX_ROW,
    PRODUCT, STAGE_CODE, MOVE, AT_STAGES, AT_SOURCES, AT_RUNS, AT_USES, LANES, GRANULE,
    KEPT_X, KEPT_X_ROW, GOES_ON, DY_T, X_T, X_COUNT, APART, FINISH,
    AT_GRIDS, BEFORE, ONCE, AFTER, SUMS, HEAD,
) = range(47)
(
    SLOTS, Q, GROUPS, VECTORS, WIDTH, LINE, GATES, FILL, BIAS, PADDING,
    SAVED, SAVED_U, SAVED_T, UNITS, GIVEN, GIVEN_I, GIVEN_ROW,
    DSAVED, DSAVED_U, DUNIT, DBIAS, COPIES, STAGE,
) = range(23)
ADDRESS, ROW, SOURCE_VECTORS, D, D_ROW, D_STEP, SOURCE = range(7)
(
    OF_STAGE, SLOT, COUNT, OF_SOURCE, SHIFT, K, FRESH, MATRIX, PANELS, PANEL, DUAL, DUAL_PANEL,
    DUAL_WIDE, DUAL_PANELS, OF_USE, DW, DW_ROW, GRADIENT, GATE,
) = range(19)  # those of the other slots follow GATE
RUN = GATE + MOST_GATES
USE_SOURCE, USE_SHIFT, COLUMNS, USE_VECTORS, USE = range(5)
(
    FROM, FROM_BLOCK, FROM_ROW, TO, TO_BLOCK, TO_ROW, TIMES, ROWS_OF, CHUNK, NUMBERS, DOES, PAD,
    GRID,
) = range(13)
PUT, ADD, SPREAD, GATHER = range(4)  # what a grid DOES
# fmt: on


class Base(IntEnum):
    """The pieces of memory; from GIVEN on the arrays of a call."""

    NUMBER = 0  # no address at all
    SOURCES = auto()
    KEPT = auto()
    WEIGHTS = auto()
    PANELS = auto()
    SCRATCH = auto()
    X = auto()
    DY = auto()
    LENGTHS = auto()
    BARRIERS = auto()
    GRADIENTS = auto()
    DX = auto()
    GIVEN = auto()  # parameters, states, and what else a call has many of: one after the other


def bases(
    sources=0, kept=0, weights=0, panels=0, scratch=0, x=0, dy=0, lengths=0, barriers=0,
    gradients=0, dx=0,
):  # fmt: skip
    """Where the pieces of a call begin, in the order of ``Base``; add the arrays of GIVEN."""
    return [
        0, sources, kept, weights, panels, scratch, x, dy, lengths, barriers, gradients, dx
    ]  # fmt: skip


class Piece:
    """A piece of memory that is being laid out."""

    def __init__(self, base: Base):
        self.base, self.size = base, 0

    def add(self, size: int) -> "Place":
        place = Place(self.base, self.size)
        self.size += -(-size // ALIGNMENT) * ALIGNMENT
        return place


@dataclass(frozen=True)
class Place:
    base: int
    offset: int = 0

    def moved(self, size: int) -> "Place":
        return Place(self.base, self.offset + size)


class Table:
    """Words, some of them to be counted from where a piece begins."""

    def __init__(self, count: int):
        self.words = np.zeros(count, np.int64)
        self.bases = np.zeros(count, np.int64)

    def put(self, index: int, value: "int | Place") -> None:
        if isinstance(value, Place):
            self.words[index], self.bases[index] = value.offset, value.base
        else:
            self.words[index] = value

    def put_row(self, first: int, values: dict) -> None:
        for word, value in values.items():
            self.put(first + word, value)

    def grow(self, count: int) -> int:
        """So many words more; the first of them."""
        first = len(self.words)
        self.words = np.concatenate((self.words, np.zeros(count, np.int64)))
        self.bases = np.concatenate((self.bases, np.zeros(count, np.int64)))
        return first

    def at(self, bases: list[int], ragged: bool) -> np.ndarray:
        """The table of a call, its pieces beginning at the addresses ``bases``."""
        words = self.words + np.array(bases, np.int64)[self.bases]
        words[RAGGED] = ragged
        return words
