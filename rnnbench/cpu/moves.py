"""Kernels that move numbers: packing, transposing, clearing, summing rows.

One compiled kernel, ``move``, does them all, each known by a number. Addresses and steps in bytes.
"""

import rnnbench.cpu.table as at
from rnnbench.cpu.access import (
    element_bytes,
    fetch,
    fetch_one,
    nought,
    put,
    put_one,
    transpose,
    zero_of,
)
from rnnbench.cpu.jit import Kernel, device, vector_bytes
from rnnbench.cpu.native import word
from rnnbench.cpu.tile import WIDEST

VECTOR = vector_bytes()
PACK_UNITS, PACK_ROWS, COPY_ROWS, COLUMN, SUM_ROWS, FILL, ADD_ROWS, GRID, CLEAR_LANES = range(9)


@device
def pack_units(kind, out, out_step, source, source_step, units, count):
    """Vector k (``out_step`` apart), lane j = number k of row j of the source; ``units`` rows, 0
    in the lanes past them, ``count`` numbers a row."""
    size = element_bytes(kind)
    lanes, k = VECTOR // size, 0
    if units >= lanes:
        while k + lanes <= count:
            transpose(kind, out + k * out_step, out_step, source + k * size, source_step)
            k += lanes
    while k < count:
        put(kind, out + k * out_step, nought(kind))
        for j in range(min(units, lanes)):
            number = fetch_one(kind, source + j * source_step + k * size)
            put_one(kind, out + k * out_step + j * size, number)
        k += 1


@device
def pack_rows(kind, out, wide, source, source_step, rows, count):
    """As many rows as a vector has lanes, ``wide`` vectors a row: ``rows`` rows of ``count``
    numbers of the source, 0 past them."""
    size = element_bytes(kind)
    lanes = VECTOR // size
    for r in range(lanes):
        for v in range(wide):
            place = out + (r * wide + v) * VECTOR
            here = source + r * source_step + v * VECTOR
            left = count - v * lanes if r < rows else 0
            if left >= lanes:
                put(kind, place, fetch(kind, here))
            else:
                put(kind, place, nought(kind))
                for j in range(left):
                    put_one(kind, place + j * size, fetch_one(kind, here + j * size))


@device
def column(kind, out, source, source_step, rows, lengths, t, batch):
    """A vector of columns of ``rows`` rows, to where panels ``WIDEST`` vectors wide have it. The
    rows are (step, sequence) from step t on; past a sequence's end (``lengths`` ≠ 0: their
    address) they are zero: their gradient is 0, but 0 · inf is not."""
    for row in range(rows):
        to = out + row * WIDEST * VECTOR
        if lengths != 0 and t + row // batch >= word(lengths, row % batch):
            put(kind, to, nought(kind))
        else:
            put(kind, to, fetch(kind, source + row * source_step))


@device
def sum_rows(kind, out, source, source_step, rows, vectors, fresh):
    """out (vectors) = (where ``fresh``) or += Σ rows of the source, the last first."""
    for v in range(vectors):
        place = out + v * VECTOR
        total = fetch(kind, place) if fresh == 0 else nought(kind)
        for r in range(rows):
            total = total + fetch(kind, source + (rows - 1 - r) * source_step + v * VECTOR)
        put(kind, place, total)


@device
def fill(kind, out, out_step, rows, source, vectors):
    """Every row (vectors) = the source."""
    for r in range(rows):
        for v in range(vectors):
            put(kind, out + r * out_step + v * VECTOR, fetch(kind, source + v * VECTOR))


@device
def add_rows(kind, out, out_step, source, source_step, rows):
    """One vector of each row += that of the source."""
    for r in range(rows):
        place = out + r * out_step
        put(kind, place, fetch(kind, place) + fetch(kind, source + r * source_step))


@device
def clear_lanes(kind, out, out_step, rows, first):
    """Zeros from lane ``first`` on in one vector of each row."""
    size = element_bytes(kind)
    zero = zero_of(kind)
    for r in range(rows):
        for j in range(first, VECTOR // size):
            put_one(kind, out + r * out_step + j * size, zero)


@device
def copy_numbers(kind, to, here, count):
    """``count`` numbers, from ``here``."""
    size = element_bytes(kind)
    lanes = VECTOR // size
    whole = count // lanes * lanes
    for k in range(0, whole, lanes):
        put(kind, to + k * size, fetch(kind, here + k * size))
    for k in range(whole, count):
        put_one(kind, to + k * size, fetch_one(kind, here + k * size))


@device
def copy_rows(kind, out, out_step, source, source_step, rows, count, pad):
    """``count`` numbers of each row; where ``pad``, zeros after them up to a whole vector."""
    size = element_bytes(kind)
    lanes = VECTOR // size
    whole = count // lanes * lanes
    for r in range(rows):
        to = out + r * out_step
        if pad and whole < count:
            put(kind, to + whole * size, nought(kind))
        copy_numbers(kind, to, source + r * source_step, count)


@device
def grid(kind, row, part, parts):
    """A thread's blocks of a grid of numbers, as its row of the table says (grids.py)."""
    size, chunk, does = element_bytes(kind), word(row, at.CHUNK), word(row, at.DOES)
    lanes = VECTOR // size
    times = word(row, at.TIMES)
    for block in range(times * part // parts, times * (part + 1) // parts):
        left = word(row, at.NUMBERS)
        here = word(row, at.FROM) + block * word(row, at.FROM_BLOCK)
        to = word(row, at.TO) + block * word(row, at.TO_BLOCK)
        for _ in range(word(row, at.ROWS_OF)):
            n = min(chunk, left)
            left -= n
            whole = n // lanes * lanes
            if does == at.GATHER:
                total = zero_of(kind)
                for i in range(n):
                    total += fetch_one(kind, here + i * size)
                put_one(kind, to, fetch_one(kind, to) + total)
            elif does == at.SPREAD:
                for i in range(n):
                    put_one(kind, to + i * size, fetch_one(kind, here))
            elif does == at.ADD:
                for i in range(0, whole, lanes):
                    place = to + i * size
                    put(kind, place, fetch(kind, place) + fetch(kind, here + i * size))
                for i in range(whole, n):
                    place = to + i * size
                    put_one(kind, place, fetch_one(kind, place) + fetch_one(kind, here + i * size))
            else:
                copy_numbers(kind, to, here, n)
            if word(row, at.PAD):
                for i in range(n, chunk):
                    put_one(kind, to + i * size, zero_of(kind))
            here += word(row, at.FROM_ROW)
            to += word(row, at.TO_ROW)


@Kernel
def move(kind, what, a, b, c, d, e, f, g):
    """One of the above, by its number, with as many of the arguments as it takes."""
    if what == PACK_UNITS:
        pack_units(kind, a, b, c, d, e, f)
    elif what == PACK_ROWS:
        pack_rows(kind, a, b, c, d, e, f)
    elif what == COPY_ROWS:
        copy_rows(kind, a, b, c, d, e, f, g)
    elif what == COLUMN:
        column(kind, a, b, c, d, e, f, g)
    elif what == SUM_ROWS:
        sum_rows(kind, a, b, c, d, e, f)
    elif what == FILL:
        fill(kind, a, b, c, d, e)
    elif what == ADD_ROWS:
        add_rows(kind, a, b, c, d, e)
    elif what == GRID:
        grid(kind, a, b, c)
    else:
        clear_lanes(kind, a, b, c, d)
