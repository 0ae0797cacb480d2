"""Forward over a batch of sequences, for any cell and any numbers.

Each thread has rows of the batch and units of every width. Block by block of time steps it
multiplies x by its units' matrices, for all steps of the block at once; then it goes through the
steps, and where other threads have other units of its rows it waits for them after each stage.
"""

import rnnbench.cpu.table as at
from rnnbench.cpu import moves
from rnnbench.cpu.jit import Kernel, device, vector_bytes
from rnnbench.cpu.native import barrier, invoke8, invoke19, word
from rnnbench.cpu.panels import PLAIN
from rnnbench.cpu.places import source_row, stage_row

VECTOR = vector_bytes()
HOT = 16_384  # bytes


@device
def run_row(table, i):
    return table + 8 * (word(table, at.AT_RUNS) + i * at.RUN)


@device
def own_units(table, vectors, part, parts):
    """The vectors of units [lo,hi), of all those of a width, that a thread has; whole groups."""
    granule = word(table, at.GRANULE)
    chunks = -(-vectors // granule)
    return (
        min(vectors, chunks * part // parts * granule),
        min(vectors, chunks * (part + 1) // parts * granule),
    )


@device
def own_rows(table, part):
    """(part of the rows, part of the units, first row, end): what of the batch a thread has."""
    B, unit_parts = word(table, at.B), word(table, at.UNIT_PARTS)
    row_parts = word(table, at.ROW_PARTS)
    row_part = part // unit_parts
    b0, b1 = B * row_part // row_parts, B * (row_part + 1) // row_parts
    return row_part, part % unit_parts, b0, b1


@device
def gate_rows(run, i, width, unit):
    """The row of a run's matrix at its i-th slot and a unit."""
    return word(run, at.GATE + i) * width + unit


@device
def multiply(
    table, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, rows, vectors, how,
    panels, c_panel, s_panel, b_panel,
):  # fmt: skip
    invoke19(
        word(table, at.PRODUCT),
        (
            c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, rows, vectors, how,
            panels, c_panel, s_panel, b_panel,
        ),
    )  # fmt: skip


@device
def move(table, what, a, b, c, d, e, f, g):
    invoke8(word(table, at.MOVE), (what, a, b, c, d, e, f, g))


@device
def grids(table, first, end, part, parts):
    """A thread's share of the small things that are copied (grids.py): some blocks of each."""
    for i in range(first, end):
        row = table + 8 * (word(table, at.AT_GRIDS) + i * at.GRID)
        move(table, moves.GRID, row, part, parts, 0, 0, 0, 0)


@device
def pack_panels(table, run, part, parts):
    """A thread's share of a run's panels: line k of a group has number k of each of its rows."""
    here = stage_row(table, word(run, at.OF_STAGE))
    Q, width, lanes = word(here, at.Q), word(here, at.WIDTH), word(table, at.LANES)
    groups, count, K = word(here, at.GROUPS), word(run, at.COUNT), word(run, at.K)
    step = K * VECTOR // lanes
    for g in range(groups * part // parts, groups * (part + 1) // parts):
        for i in range(count):
            for v in range(Q):
                unit = (g * Q + v) * lanes
                to = word(run, at.PANELS) + g * word(run, at.PANEL) + (i * Q + v) * VECTOR
                row = gate_rows(run, i, width, unit)
                units = max(0, min(lanes, width - unit))
                move(
                    table, moves.PACK_UNITS, to, count * Q * VECTOR,
                    word(run, at.MATRIX) + row * step, step, units, K, 0,
                )  # fmt: skip


@device
def pack_dual(table, run, part, parts):
    """A thread's share of what the gradient multiplies with: panels of columns, whose lines are
    the rows of the groups in turn."""
    here = stage_row(table, word(run, at.OF_STAGE))
    Q, width, lanes = word(here, at.Q), word(here, at.WIDTH), word(table, at.LANES)
    groups, count, K = word(here, at.GROUPS), word(run, at.COUNT), word(run, at.K)
    step, panels, wide = K * VECTOR // lanes, word(run, at.DUAL_PANELS), word(run, at.DUAL_WIDE)
    for p in range(panels * part // parts, panels * (part + 1) // parts):
        to = word(run, at.DUAL) + p * word(run, at.DUAL_PANEL)
        for g in range(groups):
            for i in range(count):
                for v in range(Q):
                    unit = (g * Q + v) * lanes
                    row = gate_rows(run, i, width, unit)
                    move(
                        table, moves.PACK_ROWS, to, wide,
                        word(run, at.MATRIX) + row * step + p * wide * VECTOR, step,
                        max(0, min(lanes, width - unit)), K - p * wide * lanes, 0,
                    )  # fmt: skip
                    to += lanes * wide * VECTOR


@device
def group_product(table, here, run, g, groups, a, a_row, local, rows):
    """Rows of the slots of some groups += A · the run's panels, or = biases + it, where the run is
    the first to reach them."""
    line, at_slot = word(here, at.LINE), word(run, at.SLOT) * word(here, at.Q) * VECTOR
    c = word(here, at.GATES) + (g * word(table, at.ROWS) + local) * line + at_slot
    c_panel = word(table, at.ROWS) * line
    s, s_row, s_panel = c, line, c_panel
    if word(run, at.FRESH):
        s, s_row, s_panel = word(here, at.BIAS) + g * line + at_slot, 0, line
    vectors, K = word(run, at.COUNT) * word(here, at.Q), word(run, at.K)
    multiply(
        table, c, line, s, s_row, a, a_row, VECTOR // word(table, at.LANES), 0,
        word(run, at.PANELS) + g * word(run, at.PANEL), vectors * VECTOR, K, 1, rows, vectors,
        PLAIN, groups, c_panel, s_panel, word(run, at.PANEL),
    )  # fmt: skip


@device
def inputs(table, k, lo, hi, x0, x_row, local, rows):
    """What the slots of the units [lo,hi) have before the recurrence, for rows of x from x0 on."""
    here, ROWS = stage_row(table, k), word(table, at.ROWS)
    Q, line = word(here, at.Q), word(here, at.LINE)
    g0, g1 = lo // Q, -(-hi // Q)
    for g in range(g0, g1):
        if word(here, at.FILL):
            to = word(here, at.GATES) + (g * ROWS + local) * line
            bias = word(here, at.BIAS) + g * line
            move(table, moves.FILL, to, line, rows, bias, line // VECTOR, 0, 0)
    for i in range(word(table, at.INPUT_RUNS)):
        run = run_row(table, i)
        if word(run, at.OF_STAGE) == k:
            group_product(table, here, run, g0, g1 - g0, x0, x_row, local, rows)
    for g in range(g0, g1):
        for place in range(word(here, at.SLOTS)):
            if word(here, at.COPIES) >> place & 1:
                for v in range(Q):
                    if g * Q + v < word(here, at.VECTORS):
                        to = word(here, at.GATES) + (g * ROWS + local) * line
                        x = x0 + (g * Q + v) * VECTOR
                        to += (place * Q + v) * VECTOR
                        move(table, moves.ADD_ROWS, to, line, x, x_row, rows, 0, 0)


@device
def keep_x(table, t0, rows, part, parts):
    """A thread's share of the tape's copy of x, whose rows are whole vectors."""
    if word(table, at.KEPT_X):
        r, r1, B = rows * part // parts, rows * (part + 1) // parts, word(table, at.B)
        row, x_row = word(table, at.KEPT_X_ROW), word(table, at.X_ROW)
        while r < r1:
            n = r1 - r
            if word(table, at.APART):
                n = min(n, B - r % B)
            x = word(table, at.X) + (t0 + r // B) * word(table, at.X_T) + r % B * x_row
            move(
                table, moves.COPY_ROWS, word(table, at.KEPT_X) + (t0 * B + r) * row, row,
                x, x_row, n, word(table, at.X_COUNT), 1,
            )  # fmt: skip
            r += n


@Kernel
def forward(kind, table, part):
    """A thread's part of everything."""
    T, B, steps = word(table, at.T), word(table, at.B), word(table, at.STEPS)
    row_parts, unit_parts = word(table, at.ROW_PARTS), word(table, at.UNIT_PARTS)
    parts, barriers = row_parts * unit_parts, word(table, at.BARRIERS)
    row_part, unit_part, b0, b1 = own_rows(table, part)
    runs, input_runs = word(table, at.RUNS), word(table, at.INPUT_RUNS)
    stages, x, x_row = word(table, at.STAGES), word(table, at.X), word(table, at.X_ROW)
    apart = word(table, at.APART)
    if apart:  # its steps do not lie one after the other: the copy's do
        x, x_row = word(table, at.KEPT_X), word(table, at.KEPT_X_ROW)
    grids(table, 0, word(table, at.ONCE if word(table, at.PACK) else at.BEFORE), part, parts)
    if word(table, at.PACK):
        for i in range(runs):
            pack_panels(table, run_row(table, i), part, parts)
    if word(table, at.PACK_DUAL):
        for i in range(runs):
            pack_dual(table, run_row(table, i), part, parts)
    barrier(barriers, parts)
    for block in range(word(table, at.BLOCKS)):
        t0, t1 = block * steps, min(T, (block + 1) * steps)
        keep_x(table, t0, (t1 - t0) * B, part, parts)
        if apart:
            barrier(barriers, parts)
        for k in range(stages):
            lo, hi = own_units(table, word(stage_row(table, k), at.VECTORS), unit_part, unit_parts)
            if row_parts == 1:
                inputs(table, k, lo, hi, x + t0 * B * x_row, x_row, 0, (t1 - t0) * B)
            else:
                for t in range(t0, t1):
                    first = t * B + b0
                    x0 = x + first * x_row
                    inputs(table, k, lo, hi, x0, x_row, first - t0 * B, b1 - b0)
        for t in range(t0, t1):
            local = (t - t0) * B
            for k in range(stages):
                here = stage_row(table, k)
                Q = word(here, at.Q)
                lo, hi = own_units(table, word(here, at.VECTORS), unit_part, unit_parts)
                g1 = -(-hi // Q)
                # as many groups at once as stay in the first-level cache until their maths
                some = max(1, HOT // ((b1 - b0) * word(here, at.LINE)))
                for g in range(lo // Q, g1, some):
                    groups = min(some, g1 - g)
                    for i in range(input_runs, runs):
                        run = run_row(table, i)
                        if word(run, at.OF_STAGE) == k:
                            source = source_row(table, word(run, at.OF_SOURCE))
                            a_row = word(source, at.ROW)
                            a = (t + word(run, at.SHIFT)) * B + b0
                            a = word(source, at.ADDRESS) + a * a_row
                            group_product(
                                table, here, run, g, groups, a, a_row, local + b0, b1 - b0
                            )
                    invoke8(
                        word(table, at.STAGE_CODE),
                        (table, k, t, g * Q, min(hi, (g + groups) * Q), local, b0, b1),
                    )
                if runs > input_runs:
                    barrier(barriers + 128 * (1 + row_part), unit_parts)
