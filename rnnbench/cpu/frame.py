"""The sizes of a call that both directions share, and how its work is shared out over threads."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from rnnbench.cpu.jit import vector_bytes
from rnnbench.cpu.plan import Plan, make_plan
from rnnbench.cpu.table import Base, Piece, Place
from rnnbench.cpu.tile import WIDEST, lanes
from rnnbench.spec import Cell

VECTOR = vector_bytes()
# Bytes of matrices, times rows, that a step reads, below which a second thread costs more than it
# saves (≈ 0.1 µs a barrier).
WORTH_A_THREAD = 32_000
LEVEL_2 = 1 << 20  # bytes of a matrix above which threads rather share units than rows
TALL = 24  # rows of the batch from which a panel is used often enough by one thread


@dataclass(frozen=True)
class StageSizes:
    """Of a stage: slots, units, vectors of units, vectors in a group (Q), groups, bytes a line."""

    slots: int
    width: int
    vectors: int
    q: int
    groups: int
    line: int
    saves: int
    units: int
    inputs: int


def vectors_of(width: int, dtype) -> int:
    return -(-width // lanes(dtype))


@dataclass(frozen=True, eq=False)  # the same object for the same sizes: a hash of it is cheap
class Frame:
    """The sizes that both directions share."""

    cell: Cell
    sizes: tuple[tuple[str, int], ...]
    T: int
    B: int
    dtype: str
    threads: int  # that there are

    @functools.cached_property
    def plan(self) -> Plan:
        return make_plan(self.cell)

    @functools.cached_property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @functools.cached_property
    def width(self) -> dict[str, int]:
        return dict(self.sizes)

    @functools.cached_property
    def stages(self) -> tuple[StageSizes, ...]:
        found = []
        for k, stage in enumerate(self.cell.spec.stages):
            width, slots = self.width[stage.width], len(stage.slots)
            vectors, q = vectors_of(width, self.dtype), 1
            most = max((len(r.gates) for r in self.plan.runs if r.stage == k), default=slots)
            while q * 2 * most <= WIDEST and q * 4 <= vectors:  # two groups at least
                q *= 2
            found.append(
                StageSizes(
                    slots,
                    width,
                    vectors,
                    q,
                    -(-vectors // q),
                    slots * q * VECTOR,
                    len(stage.saves),
                    len(self.cell.spec.unit_rows(k)),
                    len(stage.inputs),
                )
            )
        return tuple(found)

    def source_vectors(self, j: int) -> int:
        """Of source j, −1 being x."""
        width = self.width["I" if j < 0 else self.plan.widths[j]]
        return vectors_of(width, self.dtype)

    def columns(self, j: int) -> int:
        return self.width["I" if j < 0 else self.plan.widths[j]]

    def parameter(self, name: str) -> int:
        """Its place among the cell's parameters."""
        return [p.name for p in self.cell.spec.parameters].index(name)

    def panel(self, run) -> int:
        """Bytes of a group's panel."""
        return self.columns(run.source) * len(run.gates) * self.stages[run.stage].q * VECTOR

    def dual(self, run, parts: int) -> tuple[int, int, int]:
        """(vectors side by side, bytes of a panel, panels) of what the gradient multiplies with.

        A thread of ``parts`` that share the units goes through its panels at every step, and has
        whole ones: of half a line it would use half of the cache's sets.
        """
        s, vectors, wide = self.stages[run.stage], self.source_vectors(run.source), WIDEST
        if run.source >= 0:
            wide = min(wide, -(-vectors // parts))
        lines = s.groups * len(run.gates) * s.q * lanes(self.dtype)
        return wide, lines * wide * VECTOR, -(-vectors // wide)

    @functools.cached_property
    def recurrent(self) -> int:
        """Bytes of the recurrent matrices."""
        return sum(map(self.all_panels, self.plan.runs[self.plan.input_runs :]))

    @functools.cached_property
    def sums(self) -> "SumsLayout":
        return SumsLayout(self)

    @functools.cached_property
    def wanted(self) -> int:
        """How many of the threads this call is worth."""
        rows, units = self.split(self.threads)
        return rows * units

    def split(self, threads: int) -> tuple[int, int]:
        """(parts of the rows, parts of the units).

        Rows share nothing, so they are split where each part still makes good tiles and the
        matrices fit into each processor's own cache; else the units are, with a wait at each step.
        """
        work = (self.recurrent or sum(map(self.all_panels, self.plan.runs))) * self.B
        threads = max(1, min(threads, work // WORTH_A_THREAD))
        rows = min(threads, max(1, self.B // TALL)) if self.recurrent <= LEVEL_2 // 2 else 1
        while threads % rows:
            rows -= 1
        # no more parts of the units than there are groups of them
        most = max(s.groups for s in self.stages)
        if self.recurrent == 0:  # nobody waits; units, as then x's rows lie side by side
            narrowest = min(s.vectors for s in self.stages)
            return (1, threads) if narrowest >= threads * WIDEST else (min(threads, self.B), 1)
        return rows, max(1, min(threads // rows, most))

    def granule(self, parts: int) -> int:
        """Vectors of units that a thread has or has not: a panel's width, where there are enough
        for all; at least the largest group."""
        widest = max(s.vectors for s in self.stages)
        return WIDEST if widest >= parts * WIDEST else max(s.q for s in self.stages)

    def all_panels(self, run) -> int:
        return self.panel(run) * self.stages[run.stage].groups


class SumsLayout:
    """The parameters' gradients and what is summed on the way to them, in one piece of memory that
    does not depend on T: a sequence may be gone through in parts, the last one first.

    places: of the gradients, by name. matrices: of each run's sum; it is the gradient itself where
    the parameter has no other run and its rows are whole vectors, else it lies beside.
    biases: by slot, and units: by unit and sequence, of each stage.
    """

    def __init__(self, frame: Frame):
        f, piece = frame, Piece(Base.GRADIENTS)
        sizes = {p.name: math.prod(p.shape(f.width)) for p in f.cell.spec.parameters}
        self.places = {name: piece.add(size * f.itemsize) for name, size in sizes.items()}
        rows = [(run.parameter, gate) for run in f.plan.runs for gate in run.gates]
        self.shared = sorted({name for name, gate in rows if rows.count((name, gate)) > 1})
        self.matrices: list[Place] = []
        padded: dict[str, Place] = {}
        for run in f.plan.runs:
            name, vectors = run.parameter, f.source_vectors(run.source)
            exact = vectors * lanes(f.dtype) == f.columns(run.source)
            count = f.stages[run.stage].width * len(f.cell.spec.parameter(name).gates)
            if name in self.shared:
                self.matrices.append(piece.add(count * vectors * VECTOR))
            elif exact:
                self.matrices.append(self.places[name])
            else:
                if name not in padded:
                    padded[name] = piece.add(count * vectors * VECTOR)
                self.matrices.append(padded[name])
        self.biases = [piece.add(s.groups * s.line) for s in f.stages]
        first = piece.size
        self.units = [piece.add(s.vectors * f.B * s.units * VECTOR) for s in f.stages]
        self.cleared = Place(Base.GRADIENTS, first), piece.size - first  # before the first part
        self.size = piece.size


class WeightsLayout:
    """What the steps read of the parameters: biases by slot, values by unit; and, in a piece of
    their own, the packed panels, which only forward needs."""

    def __init__(self, frame: Frame, panels: Piece):
        piece, plan = Piece(Base.WEIGHTS), frame.plan
        stages = [(s, s.groups * s.line, s.vectors * s.units * VECTOR) for s in frame.stages]
        self.panels = [panels.add(frame.panel(r) * frame.stages[r.stage].groups) for r in plan.runs]
        self.biases = [piece.add(size) for _, size, _ in stages]
        self.units = [piece.add(size) for _, _, size in stages]
        self.size = piece.size
