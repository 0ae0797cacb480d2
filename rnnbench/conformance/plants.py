"""Mistakes to plant: each breaks one thing before a kernel runs, and verify must catch it.

A plant acts on the equations, the parameters, the initial state or the lengths, never on results.
None names a cell: what it applies to follows from the cell's spec and maths.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rnnbench.cells import get_cell, get_definition
from rnnbench.conformance.telling import changed_options
from rnnbench.equations.functions import const
from rnnbench.errors import unknown
from rnnbench.spec import BIAS, MATRIX, UNIT, Cell, CellSpec, Parameter
from rnnbench.target import Target

WRONG = 1.001  # by 0.1 %


def _same(_, value):
    return value


@dataclass(frozen=True)
class Plant:
    """What to break. Each hook maps (cell, value) to the value the kernel gets."""

    name: str
    help: str
    applies: Callable[[Cell], bool] = lambda cell: True
    cell: Callable[[Cell], Cell] = lambda cell: cell
    params: Callable = _same
    state: Callable = _same
    lengths: Callable = _same


class PlantedTarget:
    """A target with a plant in front of it."""

    def __init__(self, target: Target, plant: Plant):
        self.target, self.plant = target, plant
        self.name, self.dtypes, self.matmul = target.name, target.dtypes, target.matmul

    def forward(self, cell, params, x, state=None, lengths=None, inputs=None, tape=True):
        cell, plant = get_cell(cell), self.plant
        if not plant.applies(cell):
            return self.target.forward(cell, params, x, state, lengths, inputs, tape)
        planted = plant.cell(cell)
        known = {i.name for i in planted.spec.inputs}
        return self.target.forward(
            planted,
            plant.params(cell, params),
            x,
            plant.state(cell, state),
            plant.lengths(cell, lengths),
            {name: v for name, v in (inputs or {}).items() if name in known},
            tape,
        )

    def backward(self, tape, dy=None, dstate=None):
        return self.target.backward(tape, dy, dstate)


# -- in the parameters ---------------------------------------------------------------------


def blocks(array: np.ndarray, gates) -> np.ndarray:
    """A view with the row blocks of a stacked parameter as first axis."""
    return array.reshape(len(gates), -1, *array.shape[1:])


def swap_gates(cell: Cell, params):
    """The first two gates of every stacked parameter change places."""
    result = dict(params)
    for p in cell.spec.parameters:
        if len(p.gates) > 1 and p.kind != UNIT:
            order = [1, 0, *range(2, len(p.gates))]
            swapped = blocks(np.ascontiguousarray(params[p.name]), p.gates)[order]
            result[p.name] = swapped.reshape(params[p.name].shape)
    return result


def recurrent(spec: CellSpec) -> list[Parameter]:
    """The matrices with square row blocks."""
    return [p for p in spec.parameters if p.kind == MATRIX and p.columns == p.width]


def transpose_recurrent(cell: Cell, params):
    result = dict(params)
    for p in recurrent(cell.spec):
        array = np.ascontiguousarray(params[p.name])
        result[p.name] = blocks(array, p.gates).transpose(0, 2, 1).reshape(array.shape)
    return result


def zero(names):
    return lambda cell, params: {
        name: np.zeros_like(value) if name in names(cell.spec) else value
        for name, value in params.items()
    }


def biases(spec: CellSpec) -> list[str]:
    return [p.name for p in spec.parameters if p.kind == BIAS]


def reverse_units(cell: Cell, params):
    units = [p.name for p in cell.spec.parameters if p.kind == UNIT]
    return {name: v[::-1] if name in units else v for name, v in params.items()}


def has_units(cell: Cell) -> bool:
    return any(p.kind == UNIT and len(p.gates) > 1 for p in cell.spec.parameters)


# -- in the equations ----------------------------------------------------------------------


def first_wrong(values):
    """The tuple with its first number wrong by 0.1 %."""
    return (values[0] * const(values[0], WRONG), *values[1:])


def wrong_output(original):
    def forward(a, s, q, p):
        out, saved = original(a, s, q, p)
        return first_wrong(out), saved

    return forward


def wrong_slot(original):
    def backward(dout, dq, s, q, p):
        da, ds, dearlier, dp = original(dout, dq, s, q, p)
        return first_wrong(da), ds, dearlier, dp

    return backward


def wrong_last_slot(original):
    def backward(dout, dq, s, q, p):
        da, ds, dearlier, dp = original(dout, dq, s, q, p)
        return (*da[:-1], da[-1] * const(da[-1], WRONG)), ds, dearlier, dp

    return backward


def wrong_unit(original):
    def backward(dout, dq, s, q, p):
        da, ds, dearlier, dp = original(dout, dq, s, q, p)
        return da, ds, dearlier, first_wrong(dp)

    return backward


def dropped_state(original):
    def backward(dout, dq, s, q, p):
        da, ds, dearlier, dp = original(dout, dq, s, q, p)
        return da, (*ds[:-1], const(ds[-1], 0.0)), dearlier, dp

    return backward


def slotted(spec: CellSpec) -> list[int]:
    """The stages that have slots."""
    return [k for k, stage in enumerate(spec.stages) if stage.slots]


def wrapped(name: str, direction: str, wrap: Callable, which: int = -1) -> Callable:
    """Cell -> the cell with one stage's function of that direction wrapped: the ``which``-th of
    those with slots."""

    def change(cell: Cell) -> Cell:
        functions, stage = list(getattr(cell, direction)), slotted(cell.spec)[which]
        functions[stage] = wrap(functions[stage])
        return replace(cell, label=f"{cell.name}+{name}", **{direction: tuple(functions)})

    return change


def carries_directly(cell: Cell) -> bool:
    """Does the last stage's maths hand a gradient to the last previous state?"""
    spec, stage = cell.spec, cell.spec.stages[-1]
    rng = np.random.default_rng(0)

    def numbers(n):
        return tuple(rng.uniform(0.1, 0.9, n))

    states = [s for s in spec.states if s.width == stage.width]
    units = len(spec.unit_rows(len(spec.stages) - 1)) + len(stage.inputs)
    saves = sum(len(s.saves) for s in spec.stages if s.width == stage.width)
    outputs = len(stage.products) + len(stage.states)
    result = cell.backward[-1](
        numbers(outputs), numbers(len(stage.saves)), numbers(len(states)), numbers(saves),
        numbers(units),
    )  # fmt: skip
    return bool(result[1][-1] != 0)


def without_an_option(cell: Cell) -> Cell | None:
    """The cell with the first of its options that can be ignored (it changes no parameter) at its
    default; None where it has no such option."""
    defaults = {o.name: o.default for o in get_definition(cell.spec.name).options}
    for name in cell.options:
        other = changed_options(cell, {name: defaults[name]})
        if other is not None:
            return other
    return None


PLANTS = {
    plant.name: plant
    for plant in (
        Plant(
            "swapped-gates",
            "the first two gates' rows change places in every parameter",
            applies=lambda cell: any(
                len(p.gates) > 1 and p.kind != UNIT for p in cell.spec.parameters
            ),
            params=swap_gates,
        ),
        Plant(
            "transposed-recurrent",
            "each gate's recurrent matrix is transposed",
            applies=lambda cell: bool(recurrent(cell.spec)),
            params=transpose_recurrent,
        ),
        Plant(
            "dropped-bias",
            "every bias is zero",
            applies=lambda cell: bool(biases(cell.spec)),
            params=zero(biases),
        ),
        Plant(
            "dropped-second-bias",
            "the bias inside the recurrent product is zero",
            applies=lambda cell: len(biases(cell.spec)) > 1,
            params=zero(lambda spec: biases(spec)[1:]),
        ),
        Plant(
            "reversed-peepholes",
            "the rows of the per-unit parameters are read in reverse order",
            applies=has_units,
            params=reverse_units,
        ),
        Plant("ignored-state", "the initial state is taken as zero", state=lambda cell, s: None),
        Plant("ignored-length", "every sequence runs to T", lengths=lambda cell, n: None),
        Plant(
            "length-off-by-one",
            "every sequence ends a step early",
            lengths=lambda cell, n: None if n is None else np.maximum(np.asarray(n) - 1, 0),
        ),
        Plant(
            "ignored-option",
            "an option of a variant (a clip, a mask, an activation) has no effect",
            applies=lambda cell: without_an_option(cell) is not None,
            cell=without_an_option,
        ),
        Plant(
            "output-0.1%",
            "the new state is wrong by 0.1 %",
            cell=wrapped("output", "forward", wrong_output),
        ),
        Plant(
            "gradient-0.1%",
            "the gradient at one pre-activation is wrong by 0.1 %",
            cell=wrapped("gradient", "backward", wrong_slot),
        ),
        Plant(
            "late-gradient-0.1%",
            "the gradient at the first stage's last pre-activation is wrong by 0.1 %",
            applies=lambda cell: sum(len(stage.slots) for stage in cell.spec.stages) > 1,
            cell=wrapped("late", "backward", wrong_last_slot, which=0),
        ),
        Plant(
            "peephole-gradient-0.1%",
            "the gradient of one per-unit parameter is wrong by 0.1 %",
            applies=lambda cell: bool(cell.spec.stages[slotted(cell.spec)[-1]].units),
            cell=wrapped("unit", "backward", wrong_unit),
        ),
        Plant(
            "dropped-state-gradient",
            "no gradient flows straight to the previous state",
            applies=carries_directly,
            cell=wrapped("carry", "backward", dropped_state),
        ),
    )
}


def get_plant(name: str) -> Plant:
    """The plant of that name, else InputError."""
    if name not in PLANTS:
        raise unknown("plant", name, PLANTS)
    return PLANTS[name]
