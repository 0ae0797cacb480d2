"""A stage's scalar maths over rows and units: the only place where a kernel meets a cell.

``stage_forward`` and ``stage_backward`` are stubs; Numba compiles for each cell's type a chain of
its stages, in which the equations are inlined between generated loads and stores.

Arrays, as in forward.py and backward.py: sources[j] (T+1,B,W) a state's history or (T,B,W) a
product; pre[k], dslots[k] (slots, T·B, Wpad); saved[k] (saves, T·B, W); units[k] (units, W).
"""

from numba.extending import overload


from rnnbench.cpu.celltype import CellType
from rnnbench.cpu.functions import equation
from rnnbench.cpu.jit import OPTIONS, device
from rnnbench.cpu.plan import earlier_saves, stage_outputs, stage_states


def stage_forward(cell, k, at, arrays):
    """Stage k at step t, units [u0,u1) of rows [b0,b1).

    at = (t, u0, u1, b0, b1); arrays = (sources, pre, saved, units, lengths).
    """
    raise NotImplementedError


def stage_backward(cell, k, at, arrays):
    """The gradient through stage k at step t, rows [b0,b1).

    at = (t, now, b0, b1); arrays = (sources, saved, units, lengths, dslots, dstate, dproduct,
    dsaved, dunit). Reads dstate[j][now], dproduct and dsaved; writes dslots; adds to
    dstate[j][1-now], to earlier stages' dsaved and to dunit.
    """
    raise NotImplementedError


def generated(arguments: str, body: str):
    """A compiled function from one line of text: tuples of known length need their text."""
    space: dict = {}
    exec(f"def f({arguments}):\n    {body}", space)
    return device(space["f"])


def load(arguments: str, places: list[str]):
    """Returns the tuple of those places."""
    return generated(arguments, f"return ({''.join(p + ', ' for p in places)})")


def store(arguments: str, places: list[str], operator: str = "="):
    """Stores the tuple ``v`` at those places."""
    lines = [f"{place} {operator} v[{i}]" for i, place in enumerate(places)]
    return generated(f"{arguments}, v", "; ".join(lines) or "pass")


def numbered(pattern: str, count) -> list[str]:
    return [pattern.format(i) for i in (range(count) if isinstance(count, int) else count)]


def forward_stage(cell, k):
    """The loop over one stage of a cell."""
    spec = cell.spec
    stage = spec.stages[k]
    products, states = stage_outputs(spec, k)
    maths = equation(cell.forward[k])
    slots = load("a, row, u", numbered("a[{}, row, u]", len(stage.slots)))
    previous = load("s, t, b, u", numbered("s[{}][t, b, u]", stage_states(spec, k)))
    earlier = load("q, row, u", [f"q[{e}][{j}, row, u]" for e, j in earlier_saves(spec, k)])
    unit = load("p, u", numbered("p[{}, u]", sum(len(spec.parameter(n).gates) for n in stage.units)))
    outputs = numbered("s[{}][t, b, u]", products) + numbered("s[{}][t + 1, b, u]", states)
    put = store("s, t, b, u", outputs)
    save = store("q, row, u", numbered("q[{}, row, u]", len(stage.saves)))
    past = numbered("s[{}][t, b, u] = 0", products) + numbered("q[{}, row, u] = 0", len(stage.saves))
    past += [f"s[{j}][t + 1, b, u] = s[{j}][t, b, u]" for j in states]
    freeze = generated("s, q, t, row, b, u", "; ".join(past))

    @device
    def loop(at, arrays):
        t, u0, u1, b0, b1 = at
        sources, pre, saved, units, lengths = arrays
        slot, keep, p = pre[k], saved[k], units[k]
        for b in range(b0, b1):
            row = t * lengths.shape[0] + b
            if t < lengths[b]:
                for u in range(u0, u1):
                    out, kept = maths(
                        slots(slot, row, u),
                        previous(sources, t, b, u),
                        earlier(saved, row, u),
                        unit(p, u),
                    )
                    put(sources, t, b, u, out)
                    save(keep, row, u, kept)
            else:
                for u in range(u0, u1):
                    freeze(sources, keep, t, row, b, u)

    return loop


def backward_stage(cell, k):
    """The loop over one stage of a cell, backward."""
    spec = cell.spec
    stage = spec.stages[k]
    products, states = stage_outputs(spec, k)
    n_states, n_units = len(spec.states), sum(len(spec.parameter(n).gates) for n in stage.units)
    own = [(k, j) for j in range(len(stage.saves))]
    maths = equation(cell.backward[k])
    upstream = load(
        "d, r, now, b, u",
        numbered("r[{}][b, u]", [j - n_states for j in products])
        + numbered("d[{}][now, b, u]", states),
    )
    # Only saves that a later stage can read receive a gradient; others get zeros.
    sent = load("q, b, u", numbered("q[{}, b, u]", len(stage.saves)))
    previous = load("s, t, b, u", numbered("s[{}][t, b, u]", stage_states(spec, k)))
    kept = load("q, row, u", [f"q[{e}][{j}, row, u]" for e, j in earlier_saves(spec, k) + own])
    unit = load("p, u", numbered("p[{}, u]", n_units))
    put = store("a, row, u", numbered("a[{}, row, u]", len(stage.slots)))
    back = store(
        "d, then, b, u", numbered("d[{}][then, b, u]", stage_states(spec, k)), operator="+="
    )
    send = store(
        "q, b, u", [f"q[{e}][{j}, b, u]" for e, j in earlier_saves(spec, k)], operator="+="
    )
    add = store("p, b, u", numbered("p[{}, b, u]", n_units), operator="+=")
    past = numbered("a[{}, row, u] = 0", len(stage.slots))
    past += [f"d[{j}][1 - now, b, u] += d[{j}][now, b, u]" for j in states]
    freeze = generated("a, d, now, row, b, u", "; ".join(past) or "pass")

    @device
    def loop(at, arrays):
        t, now, b0, b1 = at
        sources, saved, units, lengths, dslots, dstate, dproduct, dsaved, dunit = arrays
        slot, p, dp, dq = dslots[k], units[k], dunit[k], dsaved[k]
        for b in range(b0, b1):
            row = t * lengths.shape[0] + b
            if t < lengths[b]:
                for u in range(saved[k].shape[2]):
                    da, ds, sending, dunits = maths(
                        upstream(dstate, dproduct, now, b, u),
                        sent(dq, b, u),
                        previous(sources, t, b, u),
                        kept(saved, row, u),
                        unit(p, u),
                    )
                    put(slot, row, u, da)
                    back(dstate, 1 - now, b, u, ds)
                    send(dsaved, b, u, sending)
                    add(dp, b, u, dunits)
            else:
                for u in range(saved[k].shape[2]):
                    freeze(slot, dstate, now, row, b, u)

    return loop


def chain(loops):
    """A function (k, at, arrays) that runs the k-th of the loops."""
    first, rest = loops[0], loops[1:]
    if not rest:
        return device(lambda k, at, arrays: first(at, arrays))
    others = chain(rest)

    @device
    def choose(k, at, arrays):
        if k == 0:
            first(at, arrays)
        else:
            others(k - 1, at, arrays)

    return choose


JIT = {name: value for name, value in OPTIONS.items() if name != "nogil"}


@overload(stage_forward, jit_options=JIT)
def _stage_forward(cell, k, at, arrays):
    if isinstance(cell, CellType):
        run = chain([forward_stage(cell.cell, i) for i in range(len(cell.cell.spec.stages))])
        return lambda cell, k, at, arrays: run(k, at, arrays)


@overload(stage_backward, jit_options=JIT)
def _stage_backward(cell, k, at, arrays):
    if isinstance(cell, CellType):
        run = chain([backward_stage(cell.cell, i) for i in range(len(cell.cell.spec.stages))])
        return lambda cell, k, at, arrays: run(k, at, arrays)
