"""A stage's scalar maths over rows and units: the only place where a kernel meets a cell.

``forward_stage`` and ``backward_stage`` run stage k at step t for the vectors of units [u0,u1) and
the rows [b0,b1) of the batch; ``local`` is the step's first row in its block. What they read and
write is in the table (table.py). For each cell's type Numba compiles a chain of its stages, each a
loop written out from a template: how many slots, states and saves a cell has is known then, so the
loop loads them into tuples of vectors, calls the equation and stores what it returns.

Running gradients clear themselves: who reads one for the last time leaves zeros.
"""

from numba.extending import overload

import rnnbench.cpu.table as at
from rnnbench.cpu.access import fetch, nought, put
from rnnbench.cpu.celltype import CellType
from rnnbench.cpu.functions import equation
from rnnbench.cpu.jit import OPTIONS, Kernel, device, vector_bytes
from rnnbench.cpu.native import word
from rnnbench.cpu.places import Stage, clear, load, source_row, stage_row, store
from rnnbench.cpu.plan import Plan, make_plan

VECTOR = vector_bytes()


def stage_forward(kind, table, k, t, u0, u1, local, b0, b1):
    """A stub, replaced by the chain of a cell's stages."""
    raise NotImplementedError


def stage_backward(kind, table, k, t, u0, u1, local, b0, b1):
    """A stub, replaced by the chain of a cell's stages."""
    raise NotImplementedError


@Kernel
def forward_stage(kind, table, k, t, u0, u1, local, b0, b1):
    """New states and products of stage k, from its slots."""
    stage_forward(kind, table, k, t, u0, u1, local, b0, b1)


@Kernel
def backward_stage(kind, table, k, t, u0, u1, local, b0, b1):
    """Gradients at the slots of stage k, in their place; those at what else it read are added."""
    stage_backward(kind, table, k, t, u0, u1, local, b0, b1)


LOOP = """
def loop(kind, table, t, u0, u1, local, b0, b1):
    B, lengths = word(table, at.B), word(table, at.LENGTHS)
    here = stage_row(table, {k})
    Q, line = word(here, at.Q), word(here, at.LINE)
    now = (word(table, at.T) - 1 - t) % 2
    {strides}
    for u in range(u0, u1):
        slot0 = word(here, at.GATES) + (u // Q * word(table, at.ROWS) + local) * line + u % Q * V
        {bases}
        unit = {unit}
        for b in range(b0, b1):
            slot = slot0 + b * line
            {rows}
            if t < word(lengths, b):
                {inside}
            else:
                {freeze}
"""
# Past a sequence's end a state is copied on, a product or a save is zero.
FORWARD = "out, kept = maths({slots}, {previous}, {earlier}, unit + {given}); {put_out}; {put_kept}"
# Past a sequence's end a state's gradient is copied on, that at the slots is zero.
BACKWARD = (
    "dslot, dprevious, dearlier, dvalue = "
    "maths({upstream}, {sent}, {previous}, {kept}, unit + {given}); "
    "{clear}; {put_slot}; {add_state}; {add_saved}; {add_unit}"
)


def compile_loop(inside: str, maths, stage: Stage, **parts):
    """The loop of one stage, compiled; ``inside``: what a step that counts does."""
    space = {
        **{f.__name__: f for f in (fetch, put, nought, word, stage_row, source_row)},
        "maths": equation(maths),
        "at": at,
        "V": VECTOR,
    }
    exec(LOOP.format(inside=inside.format(**parts), **stage.text.parts(), **parts), space)
    return device(space["loop"])


def forward_loop(plan: Plan, k: int):
    """The loop over one stage of a cell."""
    s = Stage(plan, k)
    products, own = [s.source(j) for j in s.products], s.saved(s.own_saves())
    freeze = [f"put(kind, {s.source(j, 1)}, fetch(kind, {s.source(j)}))" for j in s.states]
    return compile_loop(
        FORWARD,
        plan.cell.forward[k],
        s,
        slots=load(s.slots()),
        earlier=load(s.saved(s.spec.earlier_saves(k))),
        put_out=store(products + [s.source(j, 1) for j in s.states], "out"),
        put_kept=store(own, "kept"),
        freeze="; ".join([*freeze, clear(products + own)]),
        **s.shared(),
    )


def backward_loop(plan: Plan, k: int):
    """The loop over one stage of a cell, backward."""
    s = Stage(plan, k)
    earlier, own = s.spec.earlier_saves(k), s.own_saves()
    arriving = [s.gradient(j, "now") for j in s.states]
    leaving = [s.gradient(j, "1 - now") for j in s.states]
    later = len(s.spec.stages) > k + 1  # otherwise nobody sends this stage's saves a gradient
    sent = load(s.sent(own)) if later else "(" + "nought(kind), " * len(own) + ")"
    used = [s.gradient(j, None) for j in s.products] + arriving + (s.sent(own) if later else [])
    freeze = [
        f"put(kind, {then}, fetch(kind, {now}))"
        for now, then in zip(arriving, leaving, strict=True)
    ]
    read = [s.gradient(s.spec.state_names.index(n), "1 - now") for n in s.spec.stage_states(k)]
    return compile_loop(
        BACKWARD,
        plan.cell.backward[k],
        s,
        upstream=s.upstream(),
        sent=sent,
        kept=load(s.saved(earlier + own)),
        clear=clear(used),
        put_slot=store(s.slots(), "dslot"),
        add_state=store(read, "dprevious", add=True),
        add_saved=store(s.sent(earlier), "dearlier", add=True),
        add_unit=store(s.unit_gradients(), "dvalue", add=True),
        freeze="; ".join([*freeze, clear(arriving), clear(s.slots())]),
        **s.shared(),
    )


def chain(loops):
    """A function (kind, table, k, …) that runs the k-th of the loops."""
    first, rest = loops[0], loops[1:]
    if not rest:
        return device(
            lambda kind, table, k, t, u0, u1, local, b0, b1: first(
                kind, table, t, u0, u1, local, b0, b1
            )
        )
    others = chain(rest)

    @device
    def choose(kind, table, k, t, u0, u1, local, b0, b1):
        if k == 0:
            first(kind, table, t, u0, u1, local, b0, b1)
        else:
            others(kind, table, k - 1, t, u0, u1, local, b0, b1)

    return choose


JIT = {name: value for name, value in OPTIONS.items() if name != "nogil"}


def all_stages(cell, loop):
    """The chain of a cell's stages."""
    plan = make_plan(cell)
    return chain([loop(plan, k) for k in range(len(cell.spec.stages))])


@overload(stage_forward, jit_options=JIT)
def _stage_forward(kind, table, k, t, u0, u1, local, b0, b1):
    if isinstance(kind, CellType):
        run = all_stages(kind.cell, forward_loop)
        return lambda kind, table, k, t, u0, u1, local, b0, b1: run(
            kind, table, k, t, u0, u1, local, b0, b1
        )


@overload(stage_backward, jit_options=JIT)
def _stage_backward(kind, table, k, t, u0, u1, local, b0, b1):
    if isinstance(kind, CellType):
        run = all_stages(kind.cell, backward_loop)
        return lambda kind, table, k, t, u0, u1, local, b0, b1: run(
            kind, table, k, t, u0, u1, local, b0, b1
        )
