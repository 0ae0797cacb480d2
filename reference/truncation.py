"""Truncated backpropagation, window by window and step by step.

A window is plain backpropagation (`unroll`) over a piece of the sequence, started from the state
that the whole run has there, which counts as a constant: nothing is saved from one window for the
next. Letters: T time, B batch, I input size, H hidden size.
"""

from collections.abc import Mapping

import numpy as np

from . import checks
from .functions import zeros_like_type
from .unroll import Gradients, backward, forward


def truncated(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    k1: int,
    k2: int,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Williams & Peng 1990, BPTT(k2; k1): every k1 steps, the losses of the last k1 steps through
    the last k2 steps.

    Windows end at k1, 2 k1, ...; the last is cut off at T, its start stays. dy (T,B,H) is the
    gradient of the loss with respect to y; dstate enters the last window. With k1 = k2 these are
    the chunks of `bptt.chunked`; with k1 >= T all of it is `bptt.full`.
    """
    for name, k in (("k1", k1), ("k2", k2)):
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"{name}: {k!r}, expected an integer of at least 1")
    k1, k2 = int(k1), int(k2)  # sums of NumPy's narrow ones would overflow
    if k2 < k1:
        raise ValueError(f"k2: {k2}, expected at least k1 = {k1}")
    x, dy, lengths = _sequence(x, dy, lengths)
    T = len(x)
    histories = forward(cell, params, x, state, lengths, inputs).states
    dparams = {name: zeros_like_type(np.shape(p), x) for name, p in params.items()}
    dinitial = {name: zeros_like_type(h[0].shape, x) for name, h in histories.items()}
    dx = zeros_like_type(x.shape, x)
    end = 0
    while end < T:
        first, end = end, end + k1  # the losses are those of the steps first ... end - 1
        start, stop = max(end - k2, 0), min(end, T)
        inside = np.clip(lengths - start, 0, stop - start)
        now = {name: values[start:stop] for name, values in (inputs or {}).items()}
        constant = {name: history[start] for name, history in histories.items()}
        losses = zeros_like_type((stop - start, *dy.shape[1:]), x)
        losses[first - start :] = dy[first:stop]
        window = forward(cell, params, x[start:stop], constant, inside, now)
        found = backward(window.tape, losses, dstate if stop == T else None)
        dparams = {name: np.asarray(d + found.params[name]) for name, d in dparams.items()}
        dx[start:stop] = dx[start:stop] + found.x
        if start == 0:
            dinitial = {name: d + found.state[name] for name, d in dinitial.items()}
    return Gradients(dparams, dx, dinitial)


def weighted(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    factors: Mapping[int, float],
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Backpropagation, a step at a time, in which the gradient of the state between the steps t-1
    and t is multiplied by factors[t] (1 where there is none) before it goes on.

    0 cuts; 1/(1 - c) at an edge that was cut with probability c, but not this time, is the
    reweighting of Tallec & Ollivier 2017 (arXiv:1705.08209). dy (T,B,H), dstate as in `bptt.full`.
    Raises ValueError for an edge that is not one of 1 ... T-1, and a factor that is no number.
    """
    x, dy, lengths = _sequence(x, dy, lengths)
    T = len(x)
    if not isinstance(factors, Mapping):
        raise ValueError(f"factors: {type(factors).__name__}, expected a mapping edge -> number")
    for t, factor in factors.items():
        if isinstance(t, bool) or not isinstance(t, (int, np.integer)) or not 0 < t < T:
            raise ValueError(f"factors: edge {t!r}, expected one of 1..{T - 1}")
        if not isinstance(factor, (int, float, np.integer, np.floating)):
            raise ValueError(f"factors: {factor!r} at {t}, expected a number")
    tapes, now = [], state
    for t in range(T):
        given = {name: values[t : t + 1] for name, values in (inputs or {}).items()}
        step = forward(cell, params, x[t : t + 1], now, np.clip(lengths - t, 0, 1), given)
        now = {name: history[1] for name, history in step.states.items()}
        tapes.append(step.tape)
    dparams = {name: zeros_like_type(np.shape(p), x) for name, p in params.items()}
    dx = zeros_like_type(x.shape, x)
    dnow = dstate
    for t in reversed(range(T)):
        found = backward(tapes[t], dy[t : t + 1], dnow)
        dparams = {name: np.asarray(d + found.params[name]) for name, d in dparams.items()}
        dx[t] = found.x[0]
        factor = float(factors.get(t, 1))  # NumPy's own would make float64 of float32
        dnow = {name: d * factor for name, d in found.state.items()}
    return Gradients(dparams, dx, dnow)


def _sequence(x, dy, lengths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = checks.time_major("x", x, "T, B, I")
    dy = checks.time_major("dy", dy, "T, B, H")
    if len(dy) != len(x):
        raise ValueError(f"dy: {len(dy)} steps, expected {len(x)} as in x")
    return x, dy, checks.sequence_lengths(lengths, *x.shape[:2])
