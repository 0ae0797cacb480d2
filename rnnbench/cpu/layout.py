"""Where everything of a call lies: its memory, and the tables (table.py) that the drivers read.

A layout depends on sizes alone, so it is made once for a cell, a shape and a number of threads.
Only where its pieces of memory begin differs from call to call.
"""

import rnnbench.cpu.table as at
from rnnbench.cpu import moves, panels, pointwise
from rnnbench.cpu.backward import backward
from rnnbench.cpu.celltype import cell_type
from rnnbench.cpu.forward import forward
from rnnbench.cpu.frame import Frame, WeightsLayout
from rnnbench.cpu.jit import vector_bytes
from rnnbench.cpu.native import NOTHING, numbers
from rnnbench.cpu.table import Base, Piece, Place, Table
from rnnbench.cpu.tile import WIDEST, lanes

VECTOR = vector_bytes()
# Rows (steps × sequences) of a block: enough that a matrix read once is used often, and few enough
# that the slots of a block stay in the second-level cache.
FORWARD_ROWS, BACKWARD_ROWS = 96, 192


class Direction:
    """A table of one direction and the sizes of the pieces it needs."""

    def __init__(self, frame: Frame, threads: int, rows: int):
        f, plan = frame, frame.plan
        self.frame = f
        self.row_parts, self.unit_parts = f.split(threads)
        self.steps = max(1, min(f.T, rows // f.B))
        self.rows = self.steps * f.B
        self.scratch = Piece(Base.SCRATCH)
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
                at.BLOCKS: -(-f.T // self.steps),
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
                at.LANES: lanes(f.dtype),
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
                    at.PADDING: s.width % lanes(f.dtype),
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
                at.DUAL_PANEL: f.dual_panel(run),
                at.OF_USE: plan.uses.index((run.source, run.shift)),
            }
            words |= {at.GATE + g: gate for g, gate in enumerate(run.gates)}
            self.run(i, words)

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


class ForwardLayout(Direction):
    """pieces: sources (T+1 or T, B, units) each; kept: what only ``backward`` reads; weights and
    panels: what is made of the parameters alone.

    keep: leave a tape. ready: weights and panels are for later calls too. packed: they are made.
    """

    def __init__(self, frame: Frame, threads: int, keep: bool, ready: bool, packed: bool):
        super().__init__(frame, threads, FORWARD_ROWS)
        f, plan, B = frame, frame.plan, frame.B
        self.panels = Piece(Base.PANELS)
        weights = self.weights = WeightsLayout(f, self.panels)
        if not ready:  # then the parameters' gradients can have the same memory afterwards
            self.panels.size = max(self.panels.size, f.sums.size)
        self.sources, self.kept = Piece(Base.SOURCES), Piece(Base.KEPT)
        saved = self.kept if keep else self.scratch
        self.head(
            {
                at.STAGE_CODE: pointwise.forward_stage.address(cell_type(f.cell, f.dtype), 8),
                at.PACK: int(not packed),
                at.PACK_DUAL: int(keep),
            }
        )
        self.histories, self.inputs, self.saves = [], [], []
        for j in range(len(plan.sources)):
            steps = f.T + (j < plan.n_states)
            place = self.sources.add(steps * B * f.source_vectors(j) * VECTOR)
            self.histories.append(place)
            self.source(j, {at.ADDRESS: place})
        filled = [0] * len(f.stages)
        for i, run in enumerate(plan.runs):
            slots = ((1 << len(run.gates)) - 1) << run.slot
            fresh = i < plan.input_runs and not filled[run.stage] & slots
            if fresh:
                filled[run.stage] |= slots
            words = {at.FRESH: int(fresh), at.PANELS: weights.panels[i]}
            words |= {at.MATRIX: Place(Base.PARAMETERS + f.parameter(run.parameter))}
            self.run(i, words)
        for k, s in enumerate(f.stages):
            rows = f.T * B if keep else B
            self.saves.append(saved.add(s.vectors * rows * s.saves * VECTOR))
            self.inputs.append(self.kept.add(s.inputs * f.T * B * s.vectors * VECTOR))
            self.read(k, self.saves[k], self.inputs[k], weights.units[k], keep)
            fill = int(filled[k] != (1 << s.slots) - 1)
            self.stage(k, {at.BIAS: weights.biases[k], at.FILL: fill})
        # A tape has x itself. What is read is the caller's, but for a cell that adds x: there the
        # rows must be whole vectors.
        self.x, padded = None, f.source_vectors(-1) * VECTOR
        if keep or plan.copies:
            self.x = (self.kept if keep else self.scratch).add(f.T * B * padded)
        self.by_kernel = keep and not plan.copies
        if plan.copies:
            self.head({at.X: self.x, at.X_ROW: padded})
        else:
            self.head({at.X: Place(Base.X), at.X_ROW: f.columns(-1) * f.itemsize})
        if self.by_kernel:
            self.head({at.KEPT_X: self.x, at.KEPT_X_ROW: padded})
        self.duals = [
            self.kept.add(f.dual_panels(r) * f.dual_panel(r)) if keep else Place(Base.NUMBER)
            for r in plan.runs
        ]
        for i, place in enumerate(self.duals):
            self.run(i, {at.DUAL: place})
        self.code = forward.address(NOTHING, 2)


class BackwardLayout(Direction):
    """Of the tape that ``taped`` laid out. pieces: scratch, sums (parameters' gradients), dx."""

    def __init__(self, taped: ForwardLayout, threads: int):
        super().__init__(taped.frame, threads, BACKWARD_ROWS)
        f, plan, B = taped.frame, taped.frame.plan, taped.frame.B
        weights = taped.weights
        self.dx = Piece(Base.DX)
        x_row = f.source_vectors(-1) * VECTOR
        self.output = plan.sources.index(f.cell.spec.output)
        dy_row = f.source_vectors(self.output) * VECTOR
        self.padded_dy = f.columns(self.output) % lanes(f.dtype) != 0
        widest = max(s.line for s in f.stages)
        self.zeros_size = max(dy_row, widest, WIDEST * VECTOR)
        cleared = self.scratch.size
        self.zeros = self.scratch.add(self.zeros_size)
        self.cleared = [(cleared, self.zeros_size)]
        self.dy = self.scratch.add(f.T * B * dy_row) if self.padded_dy else Place(Base.DY)
        self.head(
            {
                at.STAGE_CODE: pointwise.backward_stage.address(cell_type(f.cell, f.dtype), 8),
                at.X: taped.x,
                at.X_ROW: x_row,
                at.DY: self.dy,
                at.DY_ROW: dy_row,
                at.DY_T: f.B * dy_row,
                at.ZEROS: self.zeros,
                at.DX: self.dx.add(f.T * B * x_row),
                at.DX_ROW: x_row,
            }
        )
        sums = f.sums
        self.sums_size = max(sums.size, taped.panels.size)
        cleared = self.scratch.size
        self.running = []
        for j in range(len(plan.sources)):
            row, is_state = f.source_vectors(j) * VECTOR, j < plan.n_states
            self.running.append(self.scratch.add((1 + is_state) * B * row))
            words = {at.D: self.running[j], at.D_ROW: row, at.D_STEP: B * row * is_state}
            self.source(j, words | {at.ADDRESS: taped.histories[j]})
        for k, s in enumerate(f.stages):
            later = k + 1 < len(f.stages)  # which may send these saves a gradient
            words = {at.DUNIT: sums.units[k], at.DBIAS: sums.biases[k]}
            words |= {at.DSAVED_U: B * s.saves * VECTOR}
            if later:
                words[at.DSAVED] = self.scratch.add(s.vectors * B * s.saves * VECTOR)
            self.stage(k, words)
        self.cleared.append((cleared, self.scratch.size - cleared))
        for k in range(len(f.stages)):
            self.read(k, taped.saves[k], taped.inputs[k], weights.units[k])
        for i, (j, shift) in enumerate(plan.uses):
            count = f.source_vectors(j)
            panels = -(-count // WIDEST)
            place = self.scratch.add(panels * WIDEST * self.rows * VECTOR)
            words = {at.USE_SOURCE: j, at.USE_SHIFT: shift}
            self.use(i, words | {at.COLUMNS: place, at.USE_VECTORS: count})
        for i, run in enumerate(plan.runs):
            name = run.parameter
            self.run(
                i,
                {
                    at.DUAL: taped.duals[i],
                    at.DW: sums.matrices[i],
                    at.DW_ROW: f.source_vectors(run.source) * VECTOR,
                    # of several runs the sums are added where all are known
                    at.GRADIENT: sums.matrices[i] if name in sums.shared else sums.places[name],
                },
            )
        self.code = backward.address(NOTHING, 2)
