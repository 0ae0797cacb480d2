"""Whole sequences: each reversed within its own length, one output taken of each, one step alone.

    many-to-many   y of every step                    Layer.forward
    many-to-one    y of each sequence's last step     last_step; two_ends where there are two ways
    one-to-one     a single step                      one_step

Letters: T time steps, B batch. lengths (B,): 0 to T, None where all are T. All arrays float32 or
all float64; InputError for anything else.
"""

from collections.abc import Mapping

import numpy as np

from rnnbench.checks import check_array, check_count, check_lengths
from rnnbench.errors import InputError
from rnnbench.layers.layer import Arrays, Gradients, Layer, Result, Tape

# -- reversal ------------------------------------------------------------------------------------


def reversal(T: int, lengths: np.ndarray | None) -> np.ndarray | None:
    """For ``reversed_in_time``: where row t·B + b of a (T,B,…) array goes, (T·B,); None where
    all lengths are T. A padded step stays in its place."""
    if lengths is None:
        return None
    time = np.arange(T)[:, None]
    step = np.where(time < lengths, lengths - 1 - time, time)
    return (step * len(lengths) + np.arange(len(lengths))).ravel()


def reversed_in_time(values: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """values (T,B,…), each sequence reversed within its length. Twice gives the values again.

    places: of ``reversal``. A view where it is None.
    """
    if places is None:
        return values[::-1]
    # clip: without it take looks at every place before it copies
    turned = by_rows(values).take(places, axis=0, mode="clip")
    return turned.reshape(values.shape)


def by_rows(values: np.ndarray) -> np.ndarray:
    """(T,B,…) as (T·B,·), each at least 1."""
    return values.reshape(values.shape[0] * values.shape[1], -1)


# -- one output a sequence -----------------------------------------------------------------------


def last_step(y: np.ndarray, lengths=None) -> np.ndarray:
    """Each sequence's last valid y (T,B,width): (B,width), zero where its length is 0."""
    y, lengths = check_outputs(y, lengths)
    last = y[np.maximum(lengths - 1, 0), np.arange(len(lengths))]
    last[lengths == 0] = 0
    return last


def last_step_backward(dlast: np.ndarray, T: int, lengths=None) -> np.ndarray:
    """dy (T,B,width) from the gradient (B,width) at ``last_step``: zero at all other steps."""
    dlast = check_array("dlast", dlast, 2)
    lengths = check_lengths(lengths, check_count("T", T), len(dlast))
    dy = np.zeros((T, *dlast.shape), dlast.dtype)
    rows = np.flatnonzero(lengths)
    dy[lengths[rows] - 1, rows] = dlast[rows]
    return dy


def two_ends(y: np.ndarray, forward_size: int, lengths=None) -> np.ndarray:
    """The last output of each direction of a bidirectional layer's concatenated y: (B,width).

    The forward direction's at each sequence's last valid step and the backward direction's at
    step 1, which it reaches last: both have seen the whole sequence. forward_size: how many of y's
    units are the forward direction's.
    """
    y, lengths = check_outputs(y, lengths)
    forward_size = check_split(forward_size, y.shape[2])
    ends = last_step(y, lengths)
    ends[:, forward_size:] = y[0, :, forward_size:]
    ends[lengths == 0] = 0
    return ends


def two_ends_backward(dends: np.ndarray, T: int, forward_size: int, lengths=None) -> np.ndarray:
    """dy (T,B,width) from the gradient (B,width) at ``two_ends``: zero at all other places."""
    dends = check_array("dends", dends, 2)
    forward_size = check_split(forward_size, dends.shape[1])
    lengths = check_lengths(lengths, check_count("T", T), len(dends))
    dy = last_step_backward(dends, T, lengths)
    dy[:, :, forward_size:] = 0
    rows = np.flatnonzero(lengths)
    dy[0, rows, forward_size:] = dends[rows, forward_size:]
    return dy


def check_outputs(y, lengths) -> tuple[np.ndarray, np.ndarray]:
    y = check_array("y", y, 3)
    if 0 in y.shape:
        raise InputError(f"y has shape {y.shape}; needs (T, B, width), each at least 1")
    return y, check_lengths(lengths, *y.shape[:2])


def check_split(size, width: int) -> int:
    if check_count("forward_size", size) >= width:
        raise InputError(f"forward_size is {size}; the outputs have {width} units for both ways")
    return size


# -- one step ------------------------------------------------------------------------------------


def one_step(
    layer: Layer,
    target,
    params: Mapping,
    x: np.ndarray,
    state: Mapping | None = None,
    inputs: Mapping | None = None,
    tape: bool = True,
) -> Result:
    """One-to-one: a layer's single step over x (B,I); the result's y is (B,width).

    As ``Layer.forward``; per-step inputs are without their time axis too.
    """
    x = check_array("x", x, 2)
    wanted = layer.inputs(1, *x.shape) if inputs else {}
    given = {
        name: np.asarray(value)[None] if name in wanted and wanted[name].per_step else value
        for name, value in (inputs or {}).items()
    }
    result = layer.forward(target, params, x[None], state, None, given, tape)
    return result._replace(y=result.y[0])


def one_step_backward(
    layer: Layer, tape: Tape, dy: np.ndarray | None = None, dstate: Arrays | None = None
) -> Gradients:
    """The gradients of ``one_step``; dy (B,width), and x's gradient is (B,I)."""
    dy = None if dy is None else check_array("dy", dy, 2)[None]
    gradients = layer.backward(tape, dy, dstate)
    return gradients._replace(x=gradients.x[0])
