"""A call, checked as a whole: what a target is handed once nothing about it can be wrong."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import (
    check_array,
    check_inputs,
    check_lengths,
    check_states,
    full_lengths,
    infer_sizes,
)
from rnnbench.errors import InputError
from rnnbench.spec import Cell, CellSpec


class Problem(NamedTuple):
    """A checked call of ``forward``: what a target needs to run it."""

    cell: Cell
    sizes: dict[str, int]  # I, H and any further width
    T: int
    B: int
    dtype: np.dtype
    params: dict[str, np.ndarray]
    x: np.ndarray  # (T, B, I); where it is a copy, zero in padding
    state: dict[str, np.ndarray]  # (B, width), all states
    inputs: dict[str, np.ndarray]  # (T, B, width), or (T, B); all inputs of the cell
    lengths: np.ndarray  # (B,) int64
    valid: np.ndarray | None  # (T, B) bool, None where every step is valid

    @property
    def spec(self) -> CellSpec:
        return self.cell.spec

    @property
    def output_size(self) -> int:
        return self.sizes[self.spec.output_width]


@dataclass(eq=False)
class Prepared:
    """Parameters made ready for many calls (``Target.prepare``): checked, and a copy of their own.

    params: those that the steps use, transforms applied. packed: what the target made of them.
    """

    cell: Cell
    sizes: dict[str, int]
    dtype: np.dtype
    params: dict[str, np.ndarray]
    target: object
    packed: object = None


def check_params(cell: Cell, params, input_size: int | None, dtype=None, copies=True):
    """(widths by letter, arrays by name) of a cell's parameters, all of one dtype.

    input_size, dtype: those of x; None where there is none yet.
    """
    sizes = infer_sizes(cell, params, input_size)
    arrays, other = {}, "x"
    for p in cell.spec.parameters:
        array = check_array(f"parameter {p.name}", params[p.name])
        if dtype is None:
            dtype, other = array.dtype, p.name
        if array.dtype != dtype:
            raise InputError(
                f"parameter {p.name} is {array.dtype}, {other} is {dtype}; give one dtype"
            )
        arrays[p.name] = array.copy() if copies else array
    return sizes, arrays


def check_prepared(cell: Cell, ready: Prepared, x: np.ndarray) -> None:
    """Is that what ``prepare`` gave for this cell, and for such an x?"""
    if ready.cell.contents != cell.contents:
        raise InputError(f"parameters were prepared for {ready.cell.name}, not for {cell.name}")
    if ready.sizes["I"] != x.shape[2]:
        raise InputError(f"x has I={x.shape[2]}; the prepared parameters have {ready.sizes['I']}")
    if ready.dtype != x.dtype:
        raise InputError(f"the prepared parameters are {ready.dtype}, x is {x.dtype}; give one")


def check_problem(
    cell, params, x, state=None, lengths=None, inputs=None, copies: bool = True, by_rows=False
) -> Problem:
    """Check a call of ``forward``; InputError with one line for anything wrong.

    copies: of the parameters and of x, for a target whose tape would hold the caller's arrays.
    by_rows: for a target that takes any x whose rows are contiguous.
    """
    cell = get_cell(cell)
    x = check_array("x", x, 3, by_rows=by_rows)
    T, B, input_size = x.shape
    if 0 in x.shape:
        letter = "TBI"[x.shape.index(0)]
        raise InputError(f"x has shape {x.shape}; {letter} must be at least 1")
    if isinstance(params, Prepared):
        check_prepared(cell, params, x)
        sizes, params = params.sizes, params.params
    else:
        sizes, params = check_params(cell, params, input_size, x.dtype, copies)
    state = check_states("state", cell, state, B, sizes, x.dtype, copies)
    inputs = check_inputs(cell, inputs, T, B, sizes, x.dtype, copies)
    lengths = check_lengths(lengths, T, B)
    valid = None
    if lengths is not full_lengths(T, B) and lengths.min() < T:
        valid = np.arange(T)[:, None] < lengths
    if copies:
        x = x.copy()
        if valid is not None:
            x[~valid] = 0  # a fourth of the time of np.where
    return Problem(cell, sizes, T, B, x.dtype, params, x, state, inputs, lengths, valid)


def check_upstream(
    problem: Problem, dy, dstate, by_rows: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check a call of ``backward``: dy (T,B,H) and every state's gradient.

    dy is the caller's own array where it is C-contiguous (by_rows: where its rows are), and holds
    anything in padding: a target looks at it in steps that count, and nowhere else.
    """
    shape = (problem.T, problem.B, problem.output_size)
    if dy is None:
        dy = np.zeros(shape, problem.dtype)
    dy = check_array("dy", dy, 3, problem.dtype, by_rows)
    if dy.shape != shape:
        raise InputError(f"dy has shape {dy.shape}; needs {shape}")
    return dy, check_states("dstate", problem.cell, dstate, problem.B, problem.sizes, problem.dtype)
