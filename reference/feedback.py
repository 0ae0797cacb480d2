"""One-to-many, one sequence at a time: each output, projected or not, is the next input.

s_t = cell(u_t, s_{t-1});  y_t = s_t, or weight s_t + bias;  u_{t+1} = y_t
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import checks
from .cells import get_cell
from .chain import accumulate, moment, of, row, step, step_backward
from .functions import zeros_like_type


class Result(NamedTuple):
    """y (T,B,I), zero past the end; state: the final states, name -> (B,width); tape."""

    y: np.ndarray
    state: dict[str, np.ndarray]
    tape: tuple


class Gradients(NamedTuple):
    """params by dotted name; first (B,I); initial states by name."""

    params: dict[str, np.ndarray]
    first: np.ndarray
    state: dict[str, np.ndarray]


def forward(
    cell,
    params: Mapping[str, np.ndarray],
    T: int,
    first: np.ndarray,
    state: Mapping[str, np.ndarray],
    lengths=None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """params: ``layer.…``, and ``output.weight`` (I,H) with ``output.bias`` (I,) for a projection;
    first (B,I); state: every initial state, name -> (B,width); inputs: what the cell's steps are
    given beside x, name -> (T,B,width) or (T,B). All of one number type."""
    cell = get_cell(cell)
    B, I = first.shape
    lengths = checks.sequence_lengths(lengths, T, B)
    y = zeros_like_type((T, B, I), first)
    final = {name: zeros_like_type(v.shape, first) for name, v in state.items()}
    sequences = []
    for b in range(B):
        u, now, records = first[b], row(state, b), []
        for t in range(lengths[b]):
            now, tape = step(cell, of(params, "layer"), u, now, moment(inputs or {}, t, b))
            u = s = now[cell.output]
            if "output.weight" in params:
                u = params["output.weight"] @ s + params["output.bias"]
            y[t, b] = u
            records.append((tape, s))
        for name in final:
            final[name][b] = now[name]
        sequences.append(records)
    return Result(y, final, (cell, dict(params), sequences))


def backward(tape: tuple, dy: np.ndarray, dstate: Mapping[str, np.ndarray]) -> Gradients:
    """From dy (T,B,I) and the gradient at every final state."""
    cell, params, sequences = tape
    dparams = {name: zeros_like_type(p.shape, p) for name, p in params.items()}
    dfirst = zeros_like_type(dy.shape[1:], dy)
    dinitial = {name: zeros_like_type(d.shape, d) for name, d in dstate.items()}
    for b, records in enumerate(sequences):
        du, dnow = dfirst[b], row(dstate, b)
        for t in reversed(range(len(records))):
            step_tape, s = records[t]
            ds = dy[t, b] + du
            if "output.weight" in params:
                accumulate(dparams, "output", {"weight": np.outer(ds, s), "bias": ds})
                ds = params["output.weight"].T @ ds
            dnow = dnow | {cell.output: dnow[cell.output] + ds}
            more, du, dnow = step_backward(step_tape, dnow)
            accumulate(dparams, "layer", more)
        dfirst[b] = du
        for name in dinitial:
            dinitial[name][b] = dnow[name]
    return Gradients(dparams, dfirst, dinitial)
