"""Where things lie: weights, tape and gradients are one flat buffer each.

A launch costs about 4 µs an array, so a kernel gets three buffers and a tuple of places in them.
Letters: T time, B batch, I input size, A columns of pre-activations, P of per-unit parameters
(plan.py), w a stage's, state's or product's width, K a source's.
"""

import math
from collections.abc import Hashable, Mapping

import numpy as np

from rnnbench.cuda.plan import Plan
from rnnbench.problem import Problem
from rnnbench.spec import INPUT, SCALAR


class Arena:
    """Named C-contiguous arrays, one after the other in a flat buffer."""

    def __init__(self, shapes: Mapping[Hashable, tuple[int, ...]]):
        self.shapes = dict(shapes)
        self.offsets: dict[Hashable, int] = {}
        self.size = 0
        for name, shape in self.shapes.items():
            self.offsets[name] = self.size
            self.size += math.prod(shape)

    def span(self, first: Hashable, last: Hashable | None = None) -> slice:
        """The elements from an array's first to another's last."""
        last = first if last is None else last
        return slice(self.offsets[first], self.offsets[last] + math.prod(self.shapes[last]))

    def view(self, buffer: np.ndarray, name: Hashable, start: int = 0) -> np.ndarray:
        """An array in a buffer that begins at element ``start`` of the arena."""
        span = self.span(name)
        return buffer[span.start - start : span.stop - start].reshape(self.shapes[name])


def weight_arena(plan: Plan, sizes) -> Arena:
    """W (A,I) of all columns that x feeds; of each link both orders, each read along its rows:
    forward (K, slots·w), backward (slots·w, K)."""
    columns, units = plan.columns(sizes)[1], plan.unit_columns(sizes)[1]
    shapes = {"one": (1,), "W": (columns, sizes["I"]), "bias": (columns,), "units": (units,)}
    for i, link in enumerate(plan.links):
        rows = len(link.slots) * sizes[plan.spec.stages[link.stage].width]
        inner = sizes[plan.source_width(link.source)]
        shapes["forward", i] = (inner, rows)
        shapes["backward", i] = (rows, inner)
    return Arena(shapes)


def tape_arena(plan: Plan, problem: Problem) -> Arena:
    """States first, (T+1,B,w) each, slot 0 the initial state; then x, the per-step inputs, the
    products of x with W, the stages' saves and products, (T,B,·) each."""
    T, B, sizes, spec = problem.T, problem.B, problem.sizes, plan.spec
    shapes = {("state", s.name): (T + 1, B, sizes[s.width]) for s in spec.states}
    shapes |= {"x": (T, B, sizes["I"]), "pre": (T, B, plan.columns(sizes)[1])}
    for k, stage in enumerate(spec.stages):
        names = [("save", k, i) for i in range(len(stage.saves))]
        names += [("product", name) for name in stage.products]
        names += [("input", name) for name in stage.inputs]
        shapes |= dict.fromkeys(names, (T, B, sizes[stage.width]))
    return Arena(shapes)


def input_values(plan: Plan, problem: Problem) -> dict[Hashable, np.ndarray]:
    """The per-step inputs, (T,B,w) each: one value a row repeated for its units."""
    found = {}
    for stage in plan.spec.stages:
        shape = (problem.T, problem.B, problem.sizes[stage.width])
        for name in stage.inputs:
            given = problem.inputs[name].reshape(problem.T, problem.B, -1)
            found["input", name] = np.ascontiguousarray(np.broadcast_to(given, shape))
    return found


def gradient_arena(plan: Plan, problem: Problem) -> Arena:
    """da (T,B,A) and what a step needs of the one after it, (B,w) each; then the results, from
    the gradients at the initial states to that of the per-unit parameters."""
    T, B, sizes, spec = problem.T, problem.B, problem.sizes, plan.spec
    columns, units = plan.columns(sizes)[1], plan.unit_columns(sizes)[1]
    shapes = {"dy": (T, B, problem.output_size), "da": (T, B, columns), "dunit": (B, units)}
    for s in spec.states:
        shapes["dnext", s.name] = (B, sizes[s.width])
    for k, stage in enumerate(spec.stages):
        names = [("dsave", k, i) for i in range(len(stage.saves))]
        names += [("dproduct", name) for name in stage.products]
        shapes |= dict.fromkeys(names, (B, sizes[stage.width]))
    for s in spec.states:
        shapes["dstate", s.name] = (B, sizes[s.width])
    shapes["dx"] = (T, B, sizes["I"])
    for source in plan.sources:
        shapes["dmatrix", source] = (columns, sizes[plan.source_width(source)])
    shapes |= {"dbias": (columns,), "dunits": (units,)}
    return Arena(shapes)


def places(plan: Plan, problem: Problem, *arenas: Arena) -> dict[Hashable, int]:
    """Every integer a kernel may ask for, by name."""
    spec, sizes = plan.spec, problem.sizes
    table: dict[Hashable, int] = {"steps": problem.T, "batch": problem.B}
    for letter, size in sizes.items():
        table["width", letter] = size
    for arena in arenas:
        table |= arena.offsets
    for kinds, (first, count), letter in (
        (("bias", "pre", "da"), plan.columns(sizes), "columns"),
        (("units", "dunit"), plan.unit_columns(sizes), "unit columns"),
    ):
        table[letter] = count
        for kind in kinds:
            if kind in table:
                table |= {(kind, *place): table[kind] + at for place, at in first.items()}
    for s in spec.states:
        table["next", s.name] = table["state", s.name] + problem.B * sizes[s.width]
    for i, link in enumerate(plan.links):
        width = sizes[spec.stages[link.stage].width]
        inner = sizes[plan.source_width(link.source)]
        for j in range(len(link.slots)):
            table["forward", i, j] = table["forward", i] + j * width
            table["backward", i, j] = table["backward", i] + j * width * inner
    return table


def pack_weights(plan: Plan, problem: Problem, arena: Arena) -> np.ndarray:
    """The parameters as the kernels read them; a scalar is repeated for each unit."""
    spec, sizes = plan.spec, problem.sizes
    first, columns = plan.columns(sizes)
    buffer = np.zeros(arena.size, problem.dtype)
    buffer[arena.offsets["one"]] = 1
    bias = arena.view(buffer, "bias")
    matrices = {INPUT: arena.view(buffer, "W")}
    for source in plan.sources:
        shape = (columns, sizes[plan.source_width(source)])
        matrices.setdefault(source, np.zeros(shape, problem.dtype))
    for source, name, rows, at in terms(plan, sizes):
        if source:
            matrices[source][at] += problem.params[name][rows]
        else:
            bias[at] += problem.params[name][rows]
    for i, link in enumerate(plan.links):
        width = sizes[spec.stages[link.stage].width]
        at = np.concatenate([first[link.stage, j] + np.arange(width) for j in link.slots])
        arena.view(buffer, ("backward", i))[:] = matrices[link.source][at]
        arena.view(buffer, ("forward", i))[:] = matrices[link.source][at].T
    units = arena.view(buffer, "units")
    for name, row, at in unit_places(plan, sizes):
        value = problem.params[name]
        units[at] = value if spec.parameter(name).kind == SCALAR else value[row]
    return buffer


def unpack_parameters(plan: Plan, problem: Problem, arena: Arena, buffer, start: int) -> dict:
    """Name -> gradient, from the results of a backward pass (from element ``start`` on)."""
    spec, sizes = plan.spec, problem.sizes
    grads = {name: np.zeros_like(value) for name, value in problem.params.items()}
    dbias = arena.view(buffer, "dbias", start)
    dmatrix = {source: arena.view(buffer, ("dmatrix", source), start) for source in plan.sources}
    for source, name, rows, at in terms(plan, sizes):
        grads[name][rows] += dmatrix[source][at] if source else dbias[at]
    dunits = arena.view(buffer, "dunits", start)
    for name, row, at in unit_places(plan, sizes):
        if spec.parameter(name).kind == SCALAR:
            grads[name] += dunits[at].sum(dtype=problem.dtype)
        else:
            grads[name][row] += dunits[at]
    return grads


def terms(plan: Plan, sizes):
    """(source, parameter, its rows, columns they feed) of every gate of every term."""
    first, _ = plan.columns(sizes)
    for k, stage in enumerate(plan.spec.stages):
        width = sizes[stage.width]
        for term in stage.terms:
            if not term.parameter:
                continue
            gates = plan.spec.parameter(term.parameter).gates
            for gate, slot in zip(term.gates, term.slots, strict=True):
                row, at = gates.index(gate) * width, first[k, stage.slots.index(slot)]
                yield term.source, term.parameter, slice(row, row + width), slice(at, at + width)


def unit_places(plan: Plan, sizes):
    """(parameter, row, columns) of every per-unit value."""
    first, _ = plan.unit_columns(sizes)
    for k, stage in enumerate(plan.spec.stages):
        for j, (name, row) in enumerate(plan.spec.unit_rows(k)):
            yield name, row, slice(first[k, j], first[k, j] + sizes[stage.width])
