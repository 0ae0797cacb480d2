"""Where everything of a call lies: its memory, and the tables (table.py) that the drivers read.

A layout depends on sizes alone, so it is made once for a cell, a shape and a number of threads.
Only where its pieces of memory begin differs from call to call.
"""

import rnnbench.cpu.table as at
from rnnbench.cpu import grids, pointwise
from rnnbench.cpu.backward import backward
from rnnbench.cpu.celltype import cell_type
from rnnbench.cpu.direction import Direction
from rnnbench.cpu.forward import forward
from rnnbench.cpu.frame import Frame, WeightsLayout
from rnnbench.cpu.jit import vector_bytes
from rnnbench.cpu.native import NOTHING
from rnnbench.cpu.table import Base, Piece, Place
from rnnbench.cpu.tile import WIDEST

VECTOR = vector_bytes()
# Rows (steps × sequences) of a block: enough that a matrix read once is used often, and few enough
# that the slots of a block stay in the second-level cache.
FORWARD_ROWS, BACKWARD_ROWS = 96, 192


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
            words |= {at.MATRIX: Place(Base.GIVEN + f.parameter(run.parameter))}
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
        self.duals = []
        for i, run in enumerate(plan.runs if keep else ()):
            wide, size, count = f.dual(run, self.unit_parts)
            words = {at.DUAL: self.kept.add(size * count), at.DUAL_PANEL: size, at.DUAL_WIDE: wide}
            self.duals.append(words | {at.DUAL_PANELS: count})
            self.run(i, self.duals[-1])
        # name, shape and place of each state's history, and its width where that is narrower
        self.states = []
        for j, name in enumerate(f.cell.spec.state_names):
            width, row = f.columns(j), f.source_vectors(j) * self.lanes
            narrow = width if width < row else None
            self.states.append((name, (f.T + 1, B, row), self.histories[j].offset, narrow))
        self.grids(
            {
                at.BEFORE: [
                    *grids.states(f, self.histories[: plan.n_states], self.parameters),
                    *grids.inputs(f, self.inputs, self.parameters + plan.n_states),
                ],
                at.ONCE: grids.weights(f, weights),
            }
        )
        self.reads_parameters = keep or not packed
        self.code = forward.address(NOTHING, 2)


class BackwardLayout(Direction):
    """Of the tape that ``taped`` laid out. pieces: scratch, sums (parameters' gradients), dx."""

    def __init__(self, taped: ForwardLayout, threads: int):
        super().__init__(taped.frame, threads, BACKWARD_ROWS)
        f, plan, B = taped.frame, taped.frame.plan, taped.frame.B
        weights = taped.weights
        self.dx = Piece(Base.DX)
        x_row = f.source_vectors(-1) * VECTOR
        output = plan.sources.index(f.cell.spec.output)
        dy_row = f.source_vectors(output) * VECTOR
        self.dy_shape = (f.T, B, f.source_vectors(output) * self.lanes)
        self.x_shape = (f.T, B, f.source_vectors(-1) * self.lanes)
        self.narrow_x = f.columns(-1) % self.lanes != 0
        self.padded_dy = f.columns(output) % self.lanes != 0
        widest = max(s.line for s in f.stages)
        self.dy = self.scratch.add(f.T * B * dy_row) if self.padded_dy else Place(Base.DY)
        self.zeros = self.scratch.add(max(dy_row, widest, WIDEST * VECTOR))
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
        cleared = self.scratch.size - self.zeros.offset  # all up to here
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
                    **taped.duals[i],
                    at.DW: sums.matrices[i],
                    at.DW_ROW: f.source_vectors(run.source) * VECTOR,
                    # of several runs the sums are added where all are known
                    at.GRADIENT: sums.matrices[i] if name in sums.shared else sums.places[name],
                },
            )
        self.gradients = [
            (p.name, p.shape(f.width), sums.places[p.name].offset) for p in f.cell.spec.parameters
        ]
        running = self.running[: plan.n_states]
        last = [
            place.moved(f.T % 2 * B * f.source_vectors(j) * VECTOR)
            for j, place in enumerate(running)
        ]
        self.given = 2 * len(last)
        self.grids(
            {
                at.BEFORE: [grids.zeros(f, self.zeros, cleared), *grids.states(f, running, 0)],
                at.ONCE: [grids.zeros(f, *sums.cleared)],
                at.AFTER: grids.states(f, last, len(last), back=True),
                at.SUMS: grids.gradients(f, sums),
            }
        )
        self.code = backward.address(NOTHING, 2)
