"""What the tables (table.py) of both directions have in common."""

import rnnbench.cpu.table as at
from rnnbench.checks import full_lengths
from rnnbench.cpu import moves, panels
from rnnbench.cpu.frame import Frame
from rnnbench.cpu.jit import vector_bytes
from rnnbench.cpu.memory import address
from rnnbench.cpu.native import numbers
from rnnbench.cpu.table import Base, Piece, Place, Table
from rnnbench.cpu.tile import lanes

VECTOR = vector_bytes()


class Direction:
    """A table of one direction and the sizes of the pieces it needs."""

    def __init__(self, frame: Frame, threads: int, rows: int):
        f, plan = frame, frame.plan
        self.parameters, self.lanes = len(f.cell.spec.parameters), lanes(f.dtype)
        self.frame = f
        self.row_parts, self.unit_parts = f.split(threads)
        self.blocks = -(-f.T // max(1, rows // f.B))
        self.steps = -(-f.T // self.blocks)  # so that the last block is not a small one
        self.rows = self.steps * f.B
        self.scratch = Piece(Base.SCRATCH)
        self.full = full_lengths(f.T, f.B)
        self.full_address = address(self.full)
        n = (len(plan.uses), len(f.stages), len(plan.sources), len(plan.runs))
        self.at_stages = at.HEAD
        self.at_sources = self.at_stages + n[1] * at.STAGE
        self.at_runs = self.at_sources + n[2] * at.SOURCE
        self.at_uses = self.at_runs + n[3] * at.RUN
        self.table = Table(self.at_uses + n[0] * at.USE)
        self.head(
            {
                at.T: f.T,
                at.B: f.B,
                at.STEPS: self.steps,
                at.BLOCKS: self.blocks,
                at.ROWS: self.rows,
                at.ROW_PARTS: self.row_parts,
                at.UNIT_PARTS: self.unit_parts,
                at.STAGES: n[1],
                at.INPUT_RUNS: plan.input_runs,
                at.RUNS: n[3],
                at.USES: n[0],
                at.LENGTHS: Place(Base.LENGTHS),
                at.BARRIERS: Place(Base.BARRIERS),
                at.X: Place(Base.X),
                at.X_VECTORS: f.source_vectors(-1),
                at.X_COUNT: f.columns(-1),
                at.PRODUCT: panels.product.address(numbers(f.dtype), 19),
                at.MOVE: moves.move.address(numbers(f.dtype), 8),
                at.AT_STAGES: self.at_stages,
                at.AT_SOURCES: self.at_sources,
                at.AT_RUNS: self.at_runs,
                at.AT_USES: self.at_uses,
                at.LANES: self.lanes,
                at.GRANULE: f.granule(self.unit_parts),
            }
        )
        copies = [0] * len(f.stages)
        for k, place in plan.copies:
            copies[k] |= 1 << place
        for k, s in enumerate(f.stages):
            self.stage(
                k,
                {
                    at.SLOTS: s.slots,
                    at.Q: s.q,
                    at.GROUPS: s.groups,
                    at.VECTORS: s.vectors,
                    at.WIDTH: s.width,
                    at.LINE: s.line,
                    at.GATES: self.scratch.add(s.groups * self.rows * s.line),
                    at.PADDING: s.width % self.lanes,
                    at.COPIES: copies[k],
                },
            )
        for j in range(len(plan.sources)):
            vectors = f.source_vectors(j)
            self.source(j, {at.ROW: vectors * VECTOR, at.SOURCE_VECTORS: vectors})
        for i, run in enumerate(plan.runs):
            words = {
                at.OF_STAGE: run.stage,
                at.SLOT: run.slot,
                at.COUNT: len(run.gates),
                at.OF_SOURCE: run.source,
                at.SHIFT: run.shift,
                at.K: f.columns(run.source),
                at.PANEL: f.panel(run),
                at.OF_USE: plan.uses.index((run.source, run.shift)),
            }
            words |= {at.GATE + g: gate for g, gate in enumerate(run.gates)}
            self.run(i, words)

    def lengths(self, problem) -> int:
        """The address of a call's lengths."""
        return self.full_address if problem.valid is None else address(problem.lengths)

    def head(self, values: dict) -> None:
        self.table.put_row(0, values)

    def stage(self, k: int, values: dict) -> None:
        self.table.put_row(self.at_stages + k * at.STAGE, values)

    def read(self, k: int, saves, inputs, units, keep: bool = True) -> None:
        """Where stage k's saves (of all steps, or of one), per-step inputs and unit values lie."""
        s, f = self.frame.stages[k], self.frame
        words, row = s.saves * VECTOR, s.vectors * VECTOR
        self.stage(
            k,
            {
                at.SAVED: saves,
                at.SAVED_U: (f.T if keep else 1) * f.B * words,
                at.SAVED_T: f.B * words if keep else 0,
                at.GIVEN: inputs,
                at.GIVEN_I: f.T * f.B * row,
                at.GIVEN_ROW: row,
                at.UNITS: units,
            },
        )

    def source(self, j: int, values: dict) -> None:
        self.table.put_row(self.at_sources + j * at.SOURCE, values)

    def run(self, i: int, values: dict) -> None:
        self.table.put_row(self.at_runs + i * at.RUN, values)

    def use(self, i: int, values: dict) -> None:
        self.table.put_row(self.at_uses + i * at.USE, values)

    def grids(self, groups: dict[int, list]) -> None:
        """The last rows of the table, a group after the other; the head's word, a group's key, is
        how many there are up to its end."""
        first, count = self.table.grow(sum(map(len, groups.values())) * at.GRID), 0
        for end, group in groups.items():
            for values in group:
                self.table.put_row(first + count * at.GRID, values)
                count += 1
            self.head({end: count})
        self.head({at.AT_GRIDS: first})
