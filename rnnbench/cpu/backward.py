"""Backward through time over a batch of sequences, for any cell and any numbers.

Block by block of time steps, the last first: the steps in reverse, with the threads' rows and units
as in forward.py, which leave the gradient at every slot of every step of the block; then, from
these, the block's part of the parameters' gradients (each thread some groups of units) and the
gradient of x (each thread some rows). Sums over time begin at the last step and are never split.
"""

import rnnbench.cpu.table as at
from rnnbench.cpu import moves
from rnnbench.cpu.forward import (
    gate_rows,
    grids,
    move,
    multiply,
    own_rows,
    own_units,
    run_row,
)
from rnnbench.cpu.jit import Kernel, device, vector_bytes
from rnnbench.cpu.native import barrier, invoke8, word
from rnnbench.cpu.panels import PLAIN, SINGLE, SUMS
from rnnbench.cpu.places import source_row, stage_row
from rnnbench.cpu.tile import K_BLOCK, WIDEST

VECTOR = vector_bytes()
TALLEST = 96  # rows whose slots stay in the second-level cache while x's columns take turns


@device
def use_row(table, i):
    return table + 8 * (word(table, at.AT_USES) + i * at.USE)


@device
def through(table, run, t, now, local, b0, b1, unit_part, unit_parts):
    """The gradient at a thread's units of what a run multiplied at step t, from all slots."""
    here = stage_row(table, word(run, at.OF_STAGE))
    source = source_row(table, word(run, at.OF_SOURCE))
    line, Q = word(here, at.LINE), word(here, at.Q)
    vectors, half = word(source, at.SOURCE_VECTORS), 1 - now
    if word(run, at.SHIFT):
        half = now
    lo, hi = own_units(table, vectors, unit_part, unit_parts)
    d_row, lengths = word(source, at.D_ROW), word(table, at.LENGTHS)
    d = word(source, at.D) + half * word(source, at.D_STEP)
    a = word(here, at.GATES) + local * line + word(run, at.SLOT) * Q * VECTOR
    K, wide = word(run, at.COUNT) * Q * word(table, at.LANES), word(run, at.DUAL_WIDE)
    # no matter how many threads there are, for the bits' sake
    how = SINGLE if word(table, at.B) == 1 and vectors <= WIDEST else PLAIN
    end = b0
    while end < b1:
        first = end  # the next rows that run: 0 · R is no 0 where R holds inf or NaN
        if word(table, at.RAGGED):
            while first < b1 and t >= word(lengths, first):
                first += 1
            end = first
            while end < b1 and t < word(lengths, end):
                end += 1
        else:
            end = b1
        u = lo if first < end else hi
        while u < hi:
            n = min(wide - u % wide, hi - u)
            c = d + first * d_row + u * VECTOR
            panel = word(run, at.DUAL) + u // wide * word(run, at.DUAL_PANEL)
            panels = (hi - u) // wide if n == wide else 1
            multiply(
                table, c, d_row, c, d_row, a + first * line, line, VECTOR // word(table, at.LANES),
                word(table, at.ROWS) * line, panel + u % wide * VECTOR, wide * VECTOR,
                K, word(here, at.GROUPS), end - first, n, how,
                panels, wide * VECTOR, wide * VECTOR, word(run, at.DUAL_PANEL),
            )  # fmt: skip
            u += n * panels


@device
def clear_padding(table, here, lo, hi, local, b0, b1):
    """Zeros at the slots of units past the width: they are multiplied by zeros, but NaN · 0."""
    valid, Q, line = word(here, at.PADDING), word(here, at.Q), word(here, at.LINE)
    last = word(here, at.VECTORS) - 1
    if valid and lo <= last < hi:
        to = word(here, at.GATES) + (last // Q * word(table, at.ROWS) + local + b0) * line
        for place in range(word(here, at.SLOTS)):
            vector = to + (place * Q + last % Q) * VECTOR
            move(table, moves.CLEAR_LANES, vector, line, b1 - b0, valid, 0, 0, 0)


@device
def clear_spare(table, here, local, b0, b1):
    """Zeros at whole vectors past the width (its last group may have some)."""
    Q, line = word(here, at.Q), word(here, at.LINE)
    spare = word(here, at.GROUPS) * Q - word(here, at.VECTORS)
    if spare:
        to = word(here, at.GATES)
        to += ((word(here, at.GROUPS) - 1) * word(table, at.ROWS) + local + b0) * line
        for place in range(word(here, at.SLOTS)):
            for v in range(Q - spare, Q):
                vector = to + (place * Q + v) * VECTOR
                move(table, moves.FILL, vector, line, b1 - b0, word(table, at.ZEROS), 1, 0, 0)


@device
def multiplied(table, t0, rows, part, parts):
    """A thread's share of what was multiplied in the block: panels of columns, row under row."""
    B, ROWS = word(table, at.B), word(table, at.ROWS)
    lengths = word(table, at.LENGTHS) if word(table, at.RAGGED) else 0
    for i in range(word(table, at.USES)):
        use = use_row(table, i)
        j = word(use, at.USE_SOURCE)
        base, row = word(table, at.X), word(table, at.X_ROW)
        if j >= 0:
            base, row = word(source_row(table, j), at.ADDRESS), word(source_row(table, j), at.ROW)
        base += (t0 + word(use, at.USE_SHIFT)) * B * row
        count = word(use, at.USE_VECTORS)
        for v in range(count * part // parts, count * (part + 1) // parts):
            to = word(use, at.COLUMNS) + v // WIDEST * ROWS * WIDEST * VECTOR + v % WIDEST * VECTOR
            move(table, moves.COLUMN, to, base + v * VECTOR, row, rows, lengths, t0, B)


@device
def bias_gradients(table, here, rows, fresh, lo, hi):
    """The block's part of the gradients at the biases of the units [lo,hi) of a stage."""
    line, Q = word(here, at.LINE), word(here, at.Q)
    for g in range(lo // Q, -(-hi // Q)):
        gates = word(here, at.GATES) + g * word(table, at.ROWS) * line
        move(
            table, moves.SUM_ROWS, word(here, at.DBIAS) + g * line, gates, line, rows,
            line // VECTOR, fresh, 0,
        )  # fmt: skip


@device
def matrix_gradient(table, run, rows, fresh, part, parts):
    """The block's part of the gradient at a thread's rows of a run's matrix: units × columns, a
    panel of columns after the other."""
    here = stage_row(table, word(run, at.OF_STAGE))
    ROWS, lanes, width = word(table, at.ROWS), word(table, at.LANES), word(here, at.WIDTH)
    line, Q = word(here, at.LINE), word(here, at.Q)
    use, dw_row = use_row(table, word(run, at.OF_USE)), word(run, at.DW_ROW)
    lo, hi = own_units(table, word(here, at.VECTORS), part, parts)
    for p in range(-(-word(use, at.USE_VECTORS) // WIDEST)):
        panel = word(use, at.COLUMNS) + p * ROWS * WIDEST * VECTOR
        vectors = min(WIDEST, word(use, at.USE_VECTORS) - p * WIDEST)
        for k0 in range(0, rows, K_BLOCK):
            depth, last = min(K_BLOCK, rows - k0), rows - 1 - k0
            first = fresh and k0 == 0
            for i in range(word(run, at.COUNT)):
                for u in range(lo, hi):
                    c = gate_rows(run, i, width, u * lanes) * dw_row + p * WIDEST * VECTOR
                    c += word(run, at.DW)
                    begin, begin_row = c, dw_row
                    if first:
                        begin, begin_row = word(table, at.ZEROS), 0
                    slots = word(here, at.GATES) + (u // Q * ROWS + last) * line
                    slots += ((word(run, at.SLOT) + i) * Q + u % Q) * VECTOR
                    multiply(
                        table, c, dw_row, begin, begin_row, slots, VECTOR // lanes, -line, 0,
                        panel + last * WIDEST * VECTOR, -WIDEST * VECTOR, depth, 1,
                        min(lanes, width - u * lanes), vectors, SUMS, 1, 0, 0, 0,
                    )  # fmt: skip


@device
def hand_out(table, run, part, parts):
    """A thread's rows of a matrix's gradient to their place, where they are wider than it."""
    here = stage_row(table, word(run, at.OF_STAGE))
    lanes, width, K = word(table, at.LANES), word(here, at.WIDTH), word(run, at.K)
    lo, hi = own_units(table, word(here, at.VECTORS), part, parts)
    for i in range(word(run, at.COUNT)):
        row = gate_rows(run, i, width, lo * lanes)
        units = min(hi * lanes, width) - lo * lanes
        move(
            table, moves.COPY_ROWS, word(run, at.GRADIENT) + row * K * VECTOR // lanes,
            K * VECTOR // lanes, word(run, at.DW) + row * word(run, at.DW_ROW),
            word(run, at.DW_ROW), units, K, 0,
        )  # fmt: skip


@device
def hand_out_all(table, part, parts):
    """A thread's share of what is done once all is summed."""
    for i in range(word(table, at.RUNS)):
        run = run_row(table, i)
        if word(run, at.DW) != word(run, at.GRADIENT):
            hand_out(table, run, part, parts)
    if part == 0:
        grids(table, word(table, at.AFTER), word(table, at.SUMS), 0, 1)


@device
def input_gradient(table, t0, r0, r1):
    """The gradient of x at the block's rows [r0,r1)."""
    B, ROWS, lanes = word(table, at.B), word(table, at.ROWS), word(table, at.LANES)
    dx_row, vectors = word(table, at.DX_ROW), word(table, at.X_VECTORS)
    dx = word(table, at.DX) + (t0 * B + r0) * dx_row
    for i in range(word(table, at.INPUT_RUNS)):
        run = run_row(table, i)
        here = stage_row(table, word(run, at.OF_STAGE))
        line, Q = word(here, at.LINE), word(here, at.Q)
        a = word(here, at.GATES) + r0 * line + word(run, at.SLOT) * Q * VECTOR
        for u in range(0, vectors, WIDEST):
            c = dx + u * VECTOR
            begin, begin_row = c, dx_row
            if i == 0:
                begin, begin_row = word(table, at.ZEROS), 0
            multiply(
                table, c, dx_row, begin, begin_row, a, line, VECTOR // lanes, ROWS * line,
                word(run, at.DUAL) + u // WIDEST * word(run, at.DUAL_PANEL), WIDEST * VECTOR,
                word(run, at.COUNT) * Q * lanes, word(here, at.GROUPS), r1 - r0,
                min(WIDEST, vectors - u), PLAIN, 1, 0, 0, 0,
            )  # fmt: skip
    if word(table, at.INPUT_RUNS) == 0:
        move(table, moves.FILL, dx, dx_row, r1 - r0, word(table, at.ZEROS), vectors, 0, 0)
    for k in range(word(table, at.STAGES)):
        here = stage_row(table, k)
        line, Q = word(here, at.LINE), word(here, at.Q)
        for place in range(word(here, at.SLOTS)):
            if word(here, at.COPIES) >> place & 1:
                for u in range(vectors):
                    slots = word(here, at.GATES) + (u // Q * ROWS + r0) * line
                    slots += (place * Q + u % Q) * VECTOR
                    move(table, moves.ADD_ROWS, dx + u * VECTOR, dx_row, slots, line, r1 - r0, 0, 0)


@Kernel
def backward(kind, table, part):
    """A thread's part of everything."""
    T, B, steps = word(table, at.T), word(table, at.B), word(table, at.STEPS)
    row_parts, unit_parts = word(table, at.ROW_PARTS), word(table, at.UNIT_PARTS)
    parts, barriers = row_parts * unit_parts, word(table, at.BARRIERS)
    row_part, unit_part, b0, b1 = own_rows(table, part)
    runs, input_runs = word(table, at.RUNS), word(table, at.INPUT_RUNS)
    stages, blocks = word(table, at.STAGES), word(table, at.BLOCKS)
    if part == 0 and blocks:
        grids(table, 0, word(table, at.BEFORE if word(table, at.GOES_ON) else at.ONCE), 0, 1)
    barrier(barriers, parts)
    for reverse in range(blocks):
        block = blocks - 1 - reverse
        t0, t1 = block * steps, min(T, (block + 1) * steps)
        for step in range(t1 - t0):
            t = t1 - 1 - step
            now, local = (T - 1 - t) % 2, (t - t0) * B
            for later in range(stages):
                k = stages - 1 - later
                here = stage_row(table, k)
                lo, hi = own_units(table, word(here, at.VECTORS), unit_part, unit_parts)
                invoke8(word(table, at.STAGE_CODE), (table, k, t, lo, hi, local, b0, b1))
                clear_padding(table, here, lo, hi, local, b0, b1)
                if unit_part == unit_parts - 1:
                    clear_spare(table, here, local, b0, b1)
                if runs > input_runs:
                    barrier(barriers + 128 * (1 + row_part), unit_parts)
                for i in range(input_runs, runs):
                    run = run_row(table, i)
                    if word(run, at.OF_STAGE) == k:
                        through(table, run, t, now, local, b0, b1, unit_part, unit_parts)
        rows = (t1 - t0) * B
        multiplied(table, t0, rows, part, parts)
        barrier(barriers, parts)
        fresh = 1 if reverse == 0 and word(table, at.GOES_ON) == 0 else 0
        for k in range(stages):
            here = stage_row(table, k)
            lo, hi = own_units(table, word(here, at.VECTORS), part, parts)
            bias_gradients(table, here, rows, fresh, lo, hi)
        for i in range(runs):
            matrix_gradient(table, run_row(table, i), rows, fresh, part, parts)
        end = rows * (part + 1) // parts
        for r in range(rows * part // parts, end, TALLEST):
            input_gradient(table, t0, r, min(end, r + TALLEST))
        barrier(barriers, parts)
    if part == 0 and blocks:
        grids(table, word(table, at.ONCE), word(table, at.AFTER), 0, 1)
    if word(table, at.FINISH):
        hand_out_all(table, part, parts)
