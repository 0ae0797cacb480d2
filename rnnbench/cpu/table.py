"""The words of the table that tells the drivers what to do: one call, as plain integers.

A head, then a row for each stage, source, run (plan.py) and use (a source that some run's matrix
is multiplied with, at one shift). Addresses and strides are in bytes. A *group* is ``Q`` vectors
of units; a *line* is what a row of the batch has in a group: for each slot, Q vectors. A *block*
is ``STEPS`` time steps; its rows are (step, sequence).
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
    KEPT_X, KEPT_X_ROW, GOES_ON, DY_T, X_T, X_COUNT, APART, HEAD,
) = range(41)
(
    SLOTS, Q, GROUPS, VECTORS, WIDTH, LINE, GATES, FILL, BIAS, PADDING,
    SAVED, SAVED_U, SAVED_T, UNITS, GIVEN, GIVEN_I, GIVEN_ROW,
    DSAVED, DSAVED_U, DUNIT, DBIAS, COPIES, STAGE,
) = range(23)
ADDRESS, ROW, SOURCE_VECTORS, D, D_ROW, D_STEP, SOURCE = range(7)
(
    OF_STAGE, SLOT, COUNT, OF_SOURCE, SHIFT, K, FRESH, MATRIX, PANELS, PANEL, DUAL, DUAL_PANEL,
    OF_USE, DW, DW_ROW, GRADIENT, GATE,
) = range(17)  # those of the other slots follow GATE
RUN = GATE + MOST_GATES
USE_SOURCE, USE_SHIFT, COLUMNS, USE_VECTORS, USE = range(5)
# fmt: on


class Base(IntEnum):
    """The pieces of memory; parameters come after."""

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
    PARAMETERS = auto()


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

    def at(self, bases: list[int], ragged: bool) -> np.ndarray:
        """The table of a call, its pieces beginning at the addresses ``bases``."""
        words = self.words + np.array(bases, np.int64)[self.bases]
        words[RAGGED] = ragged
        return words
