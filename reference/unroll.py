"""A cell along a sequence, one step at a time: forward, and backpropagation through time.

Letters: T time, B batch, I input size, H hidden size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .cells import get_cell
from .functions import zeros_like_type


class Forward(NamedTuple):
    """What `forward` returns.

    y       (T,B,H) the output after each step, zero past a sequence's end
    states  dict: state name -> (T+1,B,width); slot 0 is the initial state, slot -1 the final one;
            frozen past a sequence's end
    tape    for `backward`
    """

    y: np.ndarray
    states: dict[str, np.ndarray]
    tape: "Tape"


class Gradients(NamedTuple):
    """Gradients of a loss.

    params  dict: parameter name -> array of the parameter's shape
    x       (T,B,I), zero past a sequence's end
    state   dict: state name -> (B,width), with respect to the initial states
    """

    params: dict[str, np.ndarray]
    x: np.ndarray
    state: dict[str, np.ndarray]


@dataclass(frozen=True)
class Tape:
    cell: Any
    params: dict[str, np.ndarray]
    x_shape: tuple[int, int, int]
    sizes: dict[str, int]
    steps: list  # per step: (indices of the sequences still running, the cell's cache for them)


def forward(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    tape: bool = True,
) -> Forward:
    """Run a cell over x (T,B,I).

    cell     a name, or what get_cell made of a name and options
    state    state name -> (B,width), the initial states; zeros where None or missing
    lengths  (B,) integers in 0..T; None: all T
    inputs   input name -> (T,B,width) or (T,B), for a cell whose steps are given more than x
    tape     keep what `backward` needs; else the result's tape is None
    All arrays share one dtype: float32, float64, complex128, or object (balls); it is kept.
    Inputs are never written to. Raises ValueError on anything else.
    """
    cell = get_cell(cell)
    x = checks.time_major("x", x, "T, B, I")
    T, B, _ = x.shape
    params, sizes = checks.parameters(cell, params, x)
    params = {name: p.copy() for name, p in params.items()}
    lengths = checks.sequence_lengths(lengths, T, B)

    inputs = checks.step_inputs(cell, inputs, T, B, sizes, x)

    now = checks.states("state", cell, state, B, sizes, x)
    states = {name: zeros_like_type((T + 1, *now[name].shape), x) for name in cell.states}
    y = zeros_like_type((T, *now[cell.output].shape), x)
    steps = []
    for name in cell.states:
        states[name][0] = now[name]
    for t in range(T):
        # Only the sequences that still run enter the step: padding is not computed and then
        # masked, it is never looked at, so a NaN there has no way out.
        rows = np.flatnonzero(t < lengths)
        cache = None
        if rows.size:
            given = {name: values[t, rows] for name, values in inputs.items()}
            old = {name: values[rows] for name, values in now.items()}
            new, cache = cell.step(params, x[t, rows], old, **given)
            for name in cell.states:
                now[name][rows] = new[name]
            y[t, rows] = new[cell.output]
        for name in cell.states:
            states[name][t + 1] = now[name]
        if tape:
            steps.append((rows, cache))
    return Forward(y, states, Tape(cell, params, x.shape, sizes, steps) if tape else None)


def backward(
    tape: Tape,
    dy: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Backpropagate through the whole sequence of a `forward`.

    dy      (T,B,H) gradient of the loss with respect to y; entries past a sequence's end have no
            effect; None: zeros
    dstate  state name -> (B,width), with respect to the FINAL states; zeros where None or missing
    Raises ValueError on wrong names, shapes or dtypes.
    """
    if not isinstance(tape, Tape):
        raise ValueError(f"tape: {type(tape).__name__}, expected the tape of a reference forward")
    cell, params = tape.cell, tape.params
    like = next(iter(params.values()))
    T, B, _ = tape.x_shape
    if dy is not None:
        width = tape.sizes[cell.states[cell.output]]
        dy = checks.array_like("dy", dy, (T, B, width), like)

    dnow = checks.states("dstate", cell, dstate, B, tape.sizes, like)
    dparams = {name: zeros_like_type(p.shape, like) for name, p in params.items()}
    dx = zeros_like_type(tape.x_shape, like)
    for t in reversed(range(T)):
        rows, cache = tape.steps[t]
        if not rows.size:
            continue
        dnew = {name: d[rows] for name, d in dnow.items()}
        if dy is not None:
            dnew[cell.output] = dnew[cell.output] + dy[t, rows]
        dparams_t, dx[t, rows], dprevious = cell.step_backward(params, cache, dnew)
        for name in dparams:
            dparams[name] = np.asarray(dparams[name] + dparams_t[name])  # a scalar stays 0-d
        for name in cell.states:
            dnow[name][rows] = dprevious[name]
    return Gradients(dparams, dx, dnow)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M,K) @ b (K,N) -> (M,N), one dtype. Raises ValueError on anything else."""
    a, b = checks.number_array("a", a), checks.number_array("b", b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or 0 in a.shape + b.shape:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}, expected (M, K) and (K, N)")
    if a.dtype != b.dtype:
        raise ValueError(f"matmul: dtypes {a.dtype} and {b.dtype}, expected one dtype")
    return a @ b
