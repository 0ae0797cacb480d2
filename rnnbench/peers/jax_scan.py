"""A cell's equations on JAX arrays, in a scan, as a skilled user would write it.

Weights lie as (columns, rows), as Flax keeps them. One product with all of x, biases added, stands
before the scan; inside it, one product for each other source of a stage. σ is ``jax.nn.sigmoid``.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate

from rnnbench.bind import bind
from rnnbench.equations import functions
from rnnbench.spec import INPUT, SCALAR, Cell, CellSpec, Stage


def stubs() -> dict:
    """What the equations call, on JAX arrays."""
    import jax
    from jax import numpy as jnp

    def where_above(x, y, a, b):
        return jnp.where(x > y, a, jnp.where(x <= y, b, x + y))

    return {
        functions.const: lambda x, v: v,  # a Python number takes the dtype of what it meets
        functions.exp: jnp.exp,
        functions.tanh: jnp.tanh,
        functions.absolute: jnp.abs,
        functions.floor: jnp.floor,
        functions.log1p: jnp.log1p,
        functions.where_above: where_above,
        functions.sigmoid: jax.nn.sigmoid,
    }


def fed(stage: Stage) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Source -> slot -> (parameter, gate) of the row blocks added into it; source "": biases."""
    found = {}
    for term in stage.terms:
        for gate, slot in zip(term.gates, term.slots, strict=True):
            if term.parameter:
                slots = found.setdefault(term.source, {})
                slots.setdefault(slot, []).append((term.parameter, gate))
    return found


def fed_by_x(spec: CellSpec) -> list[tuple[int, str]]:
    """(stage, slot) of the column blocks of the product with all of x."""
    return [(k, s) for k, stage in enumerate(spec.stages) for s in fed(stage).get(INPUT, ())]


def pack(spec: CellSpec, params: Mapping) -> dict:
    """Parameters laid out for ``scan``; linear, so that its pullback lays gradients back.

    x: (I, columns) for ``fed_by_x`` and b: their biases, None where there are none. stages: each
    one's kernels by source, the biases of its other slots, and its units.
    """
    from jax import numpy as jnp

    def total(blocks):
        found = 0
        for parameter, gate in blocks:
            gates = spec.parameter(parameter).gates
            found += jnp.split(params[parameter], len(gates))[gates.index(gate)]
        return found

    def kernel(slots):
        return jnp.concatenate([total(blocks) for blocks in slots.values()]).T

    def unit(name, row):
        return params[name] if spec.parameter(name).kind == SCALAR else params[name][row]

    stages, kernels, biases, biased = [], [], [], False
    for k, stage in enumerate(spec.stages):
        sources = fed(stage)
        bias = {slot: total(blocks) for slot, blocks in sources.pop("", {}).items()}
        x = sources.pop(INPUT, {})
        if x:
            kernels.append(kernel(x))
            biased = biased or not bias.keys().isdisjoint(x)
            biases += [bias.pop(slot, jnp.zeros_like(total(x[slot])[:, 0])) for slot in x]
        stages.append(
            {
                "kernels": {source: kernel(slots) for source, slots in sources.items()},
                "bias": bias,
                "units": [unit(*one) for one in spec.unit_rows(k)],
            }
        )
    x = jnp.concatenate(kernels, axis=1) if kernels else None
    return {"x": x, "b": jnp.concatenate(biases) if biased else None, "stages": stages}


def scan(cell: Cell, sizes: Mapping[str, int]) -> Callable:
    """forward(weights, x, state, inputs) -> (y, final states), weights as ``pack`` lays them."""
    import jax
    from jax import numpy as jnp

    spec, known = cell.spec, stubs()
    maths = [bind(function, lambda f: f, known) for function in cell.forward]

    def apart(product, places):
        """(stage, slot) and its columns of a product."""
        ends = list(accumulate(sizes[spec.stages[k].width] for k, _ in places))
        return zip(places, jnp.split(product, ends[:-1], axis=-1), strict=True)

    def step(weights, states, now):
        x, product, inputs = now
        values, saved = {INPUT: x} | states, []
        sums = [dict.fromkeys(stage.slots, 0) for stage in spec.stages]
        for (k, slot), part in apart(product, fed_by_x(spec)) if product is not None else ():
            sums[k][slot] += part
        for k, (stage, own) in enumerate(zip(spec.stages, weights["stages"], strict=True)):
            for source, kernel in own["kernels"].items():
                places = [(k, slot) for slot in fed(stage)[source]]
                for (_, slot), part in apart(values[source] @ kernel, places):
                    sums[k][slot] += part
            for slot, bias in own["bias"].items():
                sums[k][slot] += bias
            for slot in (s for t in stage.terms if not t.parameter for s in t.slots):
                sums[k][slot] += x
            given = (*own["units"], *(inputs[name] for name in stage.inputs))
            s = tuple(states[name] for name in spec.stage_states(k))
            q = tuple(saved[e][i] for e, i in spec.earlier_saves(k))
            out, kept = maths[k](tuple(sums[k].values()), s, q, given)
            names = [*stage.products, *(f"{name}'" for name in stage.states)]
            shape = (len(x), sizes[stage.width])
            values |= {n: jnp.broadcast_to(v, shape) for n, v in zip(names, out, strict=True)}
            saved.append(kept)
        states = {name: values[f"{name}'"].astype(x.dtype) for name in spec.state_names}
        return states, states[spec.output]

    def forward(weights, x, state, inputs):
        product = None
        if weights["x"] is not None:
            product = x @ weights["x"]
        if weights["b"] is not None:
            product = product + weights["b"]
        inputs = {name: a.reshape(*x.shape[:2], -1) for name, a in inputs.items()}
        final, y = jax.lax.scan(
            lambda states, now: step(weights, states, now), state, (x, product, inputs)
        )
        return y, final

    return forward
