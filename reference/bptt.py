"""Backpropagation through time over a whole sequence, and truncated at chunk edges.

Full BPTT: Werbos, "Backpropagation through time", Proc. IEEE 1990. Truncation by chunks is
Williams & Peng 1990 with k1 = k2 = k: the state is carried from chunk to chunk as a number, and
no gradient flows back across the edge.
"""

from collections.abc import Mapping

import numpy as np

from . import checks
from .unroll import Gradients, backward, forward


def full(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray | None,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Gradients of a loss whose gradient is dy (T,B,H) at y and dstate at the final states."""
    return backward(forward(cell, params, x, state, lengths, inputs).tape, dy, dstate)


def chunked(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    k: int,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Truncated BPTT in chunks [0,k), [k,2k), ...; the last one may be shorter.

    dy      (T,B,H) gradient of the loss with respect to y
    dstate  enters the last chunk only. A sequence that ended in an earlier chunk gets nothing of
            it: between its end and the last chunk lies a cut.
    Returns the sum of the chunks' parameter gradients, their dx one after another, and the first
    chunk's gradient of the initial state. With k >= T this is `full`.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k: {k!r}, expected an integer of at least 1")
    k = int(k)  # sums of NumPy's narrow ones would overflow
    x = checks.time_major("x", x, "T, B, I")
    dy = checks.time_major("dy", dy, "T, B, H")
    T, B, _ = x.shape
    if len(dy) != T:
        raise ValueError(f"dy: {len(dy)} steps, expected {T} as in x")
    lengths = checks.sequence_lengths(lengths, T, B)

    chunks = []
    for start in range(0, T, k):
        stop = min(start + k, T)
        inside = np.clip(lengths - start, 0, stop - start)
        now = {name: values[start:stop] for name, values in (inputs or {}).items()}
        run = forward(cell, params, x[start:stop], state, inside, now)
        last = dstate if stop == T else None
        chunks.append(backward(run.tape, dy[start:stop], last))
        state = {name: history[-1] for name, history in run.states.items()}

    dparams = chunks[0].params
    for chunk in chunks[1:]:
        # asarray: the sum of two 0-d arrays would be a scalar
        dparams = {name: np.asarray(d + chunk.params[name]) for name, d in dparams.items()}
    return Gradients(dparams, np.concatenate([c.x for c in chunks]), chunks[0].state)
