"""What a call copies beside its products: biases, values by unit, initial states, and the gradients
of all these. Rows of the table (``at.FROM`` …). Those of backward are done in order by one thread;
forward's do not overlap, but for biases, each of which is a single block and so one thread's.

A *grid* is TIMES blocks of NUMBERS numbers each, which lie in ROWS_OF rows of CHUNK numbers (the
last rows have what is left, and zeros after it where PAD). The kernel (moves.py) puts them, adds
them, spreads a single number over them or gathers them into one.
"""

import math

import rnnbench.cpu.table as at
from rnnbench.cpu.frame import Frame, SumsLayout, WeightsLayout
from rnnbench.cpu.jit import vector_bytes
from rnnbench.cpu.table import Base, Place
from rnnbench.cpu.tile import lanes
from rnnbench.spec import MATRIX, SCALAR

VECTOR = vector_bytes()
Grid = dict[int, int | Place]


def grid(
    source, to, numbers, chunk, rows=1, steps=(0, 0), times=1, blocks=(0, 0), does=at.PUT, pad=0
) -> Grid:
    """steps, blocks: bytes from a row, and from a block, to the next; of the source, of ``to``."""
    return {
        at.FROM: source,
        at.FROM_BLOCK: blocks[0],
        at.FROM_ROW: steps[0],
        at.TO: to,
        at.TO_BLOCK: blocks[1],
        at.TO_ROW: steps[1],
        at.TIMES: times,
        at.ROWS_OF: rows,
        at.CHUNK: chunk,
        at.NUMBERS: numbers,
        at.DOES: does,
        at.PAD: pad,
    }


def zeros(frame: Frame, to: Place, size: int) -> Grid:
    """Zeros in ``size`` bytes."""
    return grid(to, to, 0, size // frame.itemsize, pad=1)


def states(frame: Frame, places: list[Place], first: int, back: bool = False) -> list[Grid]:
    """Every state's (B, width) array, those given from ``first`` on, to its place in rows of whole
    vectors; or back."""
    grids = []
    for j, place in enumerate(places):
        width, vectors = frame.columns(j), frame.source_vectors(j)
        chunk, own = vectors * lanes(frame.dtype), Place(Base.GIVEN + first + j)
        ends, blocks = (own, place), (width * frame.itemsize, vectors * VECTOR)
        if back:
            ends, blocks = ends[::-1], blocks[::-1]
        grids.append(grid(*ends, width, chunk, 1, (0, 0), frame.B, blocks, pad=int(not back)))
    return grids


def inputs(frame: Frame, places: list[Place], first: int) -> list[Grid]:
    """The per-step inputs that each stage takes, (T, B, width) or one number a row, those given
    from ``first`` on, to rows of whole vectors."""
    spec, v, rows, grids = frame.cell.spec, lanes(frame.dtype), frame.T * frame.B, []
    names = [one.name for one in spec.inputs]
    for k, stage in enumerate(spec.stages):
        s = frame.stages[k]
        for i, name in enumerate(stage.inputs):
            source = Place(Base.GIVEN + first + names.index(name))
            to, does, numbers = places[k].moved(i * rows * s.vectors * VECTOR), at.SPREAD, 1
            if spec.input(name).width:
                does, numbers = at.PUT, s.width
            blocks = (numbers * frame.itemsize, s.vectors * VECTOR)
            grids.append(
                grid(
                    source, to, s.width, s.vectors * v, times=rows, blocks=blocks, does=does, pad=1
                )
            )
    return grids


def weights(frame: Frame, layout: WeightsLayout) -> list[Grid]:
    """Biases by slot, values by unit, from the parameters."""
    spec, grids, filled = frame.cell.spec, [], set()
    for k, name, gate, slot in frame.plan.biases:
        s = frame.stages[k]
        source = Place(Base.GIVEN + frame.parameter(name), gate * s.width * frame.itemsize)
        does = at.ADD if (k, slot) in filled else at.PUT
        filled.add((k, slot))
        grids.append(slot_grid(frame, k, source, layout.biases[k], slot, does=does))
    for k, s in enumerate(frame.stages):
        for slot in range(s.slots):
            if (k, slot) not in filled:
                nothing = slot_grid(frame, k, layout.biases[k], layout.biases[k], slot)
                grids.append(nothing | {at.NUMBERS: 0})
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            source = Place(Base.GIVEN + frame.parameter(name), row * s.width * frame.itemsize)
            to = layout.units[k].moved(j * VECTOR)
            step, does = VECTOR, at.PUT
            if spec.parameter(name).kind == SCALAR:
                step, does = 0, at.SPREAD
            steps = (step, s.units * VECTOR)
            grids.append(
                grid(source, to, s.width, lanes(frame.dtype), s.vectors, steps, does=does, pad=1)
            )
    return grids


def slot_grid(frame: Frame, k: int, source, to, slot: int, back=False, does=at.PUT) -> Grid:
    """A slot's values, (width,), to their place among those of stage k; or back."""
    s = frame.stages[k]
    chunk, steps = s.q * lanes(frame.dtype), (s.q * VECTOR, s.line)
    if back:
        source, steps = source.moved(slot * s.q * VECTOR), steps[::-1]
    else:
        to = to.moved(slot * s.q * VECTOR)
    return grid(source, to, s.width, chunk, s.groups, steps, does=does, pad=int(not back))


def gradients(frame: Frame, sums: SumsLayout) -> list[Grid]:
    """The parameters' gradients from what was summed, but for matrices that lie in their place."""
    f, spec, v = frame, frame.cell.spec, lanes(frame.dtype)
    grids = []
    for p in spec.parameters:
        if p.kind != MATRIX or p.name in sums.shared:
            size = math.prod(p.shape(f.width)) * f.itemsize
            grids.append(zeros(f, sums.places[p.name], size))
    for run, place in zip(f.plan.runs, sums.matrices, strict=True):
        if run.parameter in sums.shared:
            width, columns = f.stages[run.stage].width, f.columns(run.source)
            blocks = (f.source_vectors(run.source) * VECTOR, columns * f.itemsize)
            for gate in run.gates:
                ends = [
                    of.moved(gate * width * row)
                    for of, row in zip((place, sums.places[run.parameter]), blocks, strict=True)
                ]
                grids.append(grid(*ends, columns, columns, times=width, blocks=blocks, does=at.ADD))
    for k, s in enumerate(f.stages):
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            source, to = sums.units[k].moved(j * VECTOR), sums.places[name]
            steps, blocks = (f.B * s.units * VECTOR, VECTOR), (s.units * VECTOR, 0)
            does = at.ADD
            if spec.parameter(name).kind == SCALAR:
                steps, does = (steps[0], 0), at.GATHER
            to = to.moved(row * s.width * f.itemsize)
            grids.append(grid(source, to, s.width, v, s.vectors, steps, f.B, blocks, does))
    for k, name, gate, slot in f.plan.biases:
        to = sums.places[name].moved(gate * f.stages[k].width * f.itemsize)
        grids.append(slot_grid(f, k, sums.biases[k], to, slot, back=True, does=at.ADD))
    return grids
