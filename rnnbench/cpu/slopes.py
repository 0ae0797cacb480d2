"""Local slopes: the derivatives of what a stage's maths gives by what it is given, unit by unit.

A cell's ``backward`` is linear in the gradients at its outputs, so with a 1 at one output it gives
that output's derivative at every input. ``slopes`` does so for ``count`` vectors of units. Its
table (words): the stage, count, then the addresses and the steps, in bytes from one array to the
next, of the inputs (previous states, earlier and own saves, unit values, per-step inputs) and of
the results (rnnbench/linearised.py says which outputs at which inputs).
"""

import itertools
import math

import numpy as np
from numba.extending import overload

from rnnbench.cpu.access import fetch, nought, put
from rnnbench.cpu.celltype import CellType, cell_type
from rnnbench.cpu.functions import equation
from rnnbench.cpu.jit import Kernel, device, vector_bytes
from rnnbench.cpu.memory import address
from rnnbench.cpu.native import word
from rnnbench.cpu.places import load, store
from rnnbench.cpu.pointwise import JIT
from rnnbench.cpu.threads import ALONE
from rnnbench.cpu.tile import lanes
from rnnbench.cpu.vectormath import const
from rnnbench.linearised import Linearised, matrix_sources, outputs
from rnnbench.spec import INPUT, Cell

STAGE, COUNT, INPUTS, INPUT_STEP, OUT, OUT_STEP = range(6)

LOOP = """
def loop(kind, table):
    a0, a_step = word(table, INPUTS), word(table, INPUT_STEP)
    d0, d_step = word(table, OUT), word(table, OUT_STEP)
    zero = nought(kind)
    one = const(zero, 1.0)
    for v in range(word(table, COUNT)):
        a, d = a0 + v * V, d0 + v * V
        s, q, p = {previous}, {kept}, {given}
        {rows}
"""
ROW = "da, ds, dq, dp = maths({dout}, {dsaved}, s, q, p); {put}"


def stage_slopes(kind, table):
    """A stub, replaced by the chain of a cell's stages."""
    raise NotImplementedError


@Kernel
def slopes(kind, table, part):
    """The slopes of one stage."""
    stage_slopes(kind, table)


def counts(spec, k: int) -> tuple[int, int, int, int, int]:
    """Of stage k: previous states, earlier saves, own saves, unit values, per-step inputs."""
    s = spec.stages[k]
    previous, earlier = len(spec.stage_states(k)), len(spec.earlier_saves(k))
    return previous, earlier, len(s.saves), len(spec.unit_rows(k)), len(s.inputs)


def table_shape(spec, k: int) -> tuple[int, int]:
    """(outputs, inputs) of stage k's slopes."""
    previous, earlier, _, units, _ = counts(spec, k)
    return len(outputs(spec, k)), len(spec.stages[k].slots) + previous + earlier + units


def slopes_loop(cell: Cell, k: int):
    spec = cell.spec
    previous, earlier, own, units, inputs = counts(spec, k)
    results, columns = table_shape(spec, k)
    first_save = len(spec.stages[k].products) + len(spec.stages[k].states)

    def unit(first: int, count: int, row: int) -> str:
        return "(" + "".join("one, " if first + i == row else "zero, " for i in range(count)) + ")"

    rows = []
    for row in range(results):
        places, at = [], row * columns
        for name, count in (("da", columns - previous - earlier - units), ("ds", previous),
                            ("dq", earlier), ("dp", units)):  # fmt: skip
            places.append(store([f"d + {at + i} * d_step" for i in range(count)], name))
            at += count
        rows.append(
            ROW.format(
                dout=unit(0, first_save, row),
                dsaved=unit(first_save, own, row),
                put="; ".join(places),
            )
        )
    ends = np.cumsum([0, previous, earlier + own, units + inputs])
    parts = [
        load([f"a + {i} * a_step" for i in range(lo, hi)]) for lo, hi in itertools.pairwise(ends)
    ]
    text = LOOP.format(
        previous=parts[0], kept=parts[1], given=parts[2], rows="; ".join(rows) or "pass"
    )
    space = {f.__name__: f for f in (fetch, put, nought, word)} | {"const": const}
    space |= {"maths": equation(cell.backward[k]), "V": vector_bytes()}
    space |= {
        name: globals()[name] for name in ("COUNT", "INPUTS", "INPUT_STEP", "OUT", "OUT_STEP")
    }
    exec(text, space)
    return device(space["loop"])


def chain(loops, k: int = 0):
    """A function (kind, table) that runs the loop of the table's stage."""
    first = loops[k]
    if k == len(loops) - 1:
        return first
    others = chain(loops, k + 1)

    @device
    def choose(kind, table):
        if word(table, STAGE) == k:
            first(kind, table)
        else:
            others(kind, table)

    return choose


@overload(stage_slopes, jit_options=JIT)
def _stage_slopes(kind, table):
    if isinstance(kind, CellType):
        cell = kind.cell
        run = chain([slopes_loop(cell, k) for k in range(len(cell.spec.stages))])
        return lambda kind, table: run(kind, table)


def local_slopes(cell: Cell, k: int, inputs: list[np.ndarray], shape: tuple, dtype) -> np.ndarray:
    """Slopes of stage k, (outputs, inputs, *shape), from arrays of that shape: previous states,
    earlier and own saves, unit values, per-step inputs."""
    results, columns = table_shape(cell.spec, k)
    size, v = math.prod(shape), lanes(dtype)
    count = -(-size // v)
    given = np.zeros((max(1, len(inputs)), count * v), dtype)
    for row, values in zip(given, inputs, strict=False):
        row[:size] = values.reshape(-1)
    found = np.empty((results, columns, count * v), dtype)
    step = given.shape[1] * given.itemsize
    table = np.array([k, count, address(given), step, address(found), step], np.int64)
    ALONE.run(slopes.address(cell_type(cell, dtype), 2), table)
    return found[:, :, :size].reshape(results, columns, *shape)


def linearise(tape) -> Linearised:
    """The steps of a tape of this target, linear around the values they had."""
    p, frame, v = tape.problem, tape.layout.frame, lanes(tape.problem.dtype)
    spec, layout, T, B = p.spec, tape.layout, p.T, p.B
    x = tape.kept.view((T, B, frame.source_vectors(-1) * v), p.dtype, layout.x.offset)
    before, sources = {}, {INPUT: x[:, :, : frame.columns(-1)]}
    for j, name in enumerate(frame.plan.sources):
        is_state = j < frame.plan.n_states
        shape = (T + is_state, B, frame.source_vectors(j) * v)
        history = tape.sources.view(shape, p.dtype, layout.histories[j].offset)
        history = history[:, :, : frame.columns(j)]
        before[name] = sources[name] = history[:T]
        if is_state:
            sources[f"{name}'"] = history[1:]
    saved = []
    for k, s in enumerate(frame.stages):
        shape = (s.vectors, T, B, s.saves, v)
        values = tape.kept.view(shape, p.dtype, layout.saves[k].offset)
        values = values.transpose(3, 1, 2, 0, 4).reshape(s.saves, T, B, s.vectors * v)
        saved.append(values[..., : s.width])
    found = []
    for k, s in enumerate(frame.stages):
        shape = (T, B, s.width)
        given = [before[name] for name in spec.stage_states(k)]
        given += [saved[e][i] for e, i in spec.earlier_saves(k)] + list(saved[k])
        units = tape.weights.view((s.vectors, s.units, v), p.dtype, layout.weights.units[k].offset)
        for row in units.swapaxes(0, 1):
            given.append(np.broadcast_to(row.reshape(-1)[: s.width], shape))
        rows = (s.inputs, T, B, s.vectors * v)
        given += list(tape.kept.view(rows, p.dtype, layout.inputs[k].offset)[..., : s.width])
        found.append(local_slopes(p.cell, k, given, shape, p.dtype))
    wanted = {name: np.ascontiguousarray(sources[name]) for name in matrix_sources(spec)}
    return Linearised(p, tuple(found), wanted)
