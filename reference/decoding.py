"""A decoder over one target sequence, with and without attention, and the way back.

kind          at step t, with s the decoder's output state and h_1, .., h_n the source
None          s_t = decoder(x_t, s_{t-1});  y_t = s_t
"bahdanau"    c_t = attend(s_{t-1}, h);  s_t = decoder([x_t; c_t], s_{t-1});  y_t = s_t
"luong"       s_t = decoder(x_t, s_{t-1});  c_t = attend(s_t, h);  y_t = tanh(W_c [c_t; s_t])
"feeding"     as "luong", from [x_t; y_{t-1}] in place of x_t; y_0 = 0
Bahdanau et al., arXiv:1409.0473, section 3.1; Luong et al., arXiv:1508.04025, eq. 5, section 3.3.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .attention import attend, attend_backward
from .chain import accumulate, of, step, step_backward
from .functions import tanh, zeros_like_type

KINDS = (None, "bahdanau", "luong", "feeding")


class Decoder(NamedTuple):
    """cell; kind of attention and of score; params: all, by dotted name."""

    cell: Any
    kind: str | None
    score: str
    params: Mapping[str, np.ndarray]

    @property
    def late(self) -> bool:
        """Whether attention comes after the step."""
        return self.kind in ("luong", "feeding")

    def width(self, state: Mapping) -> int:
        return len(self.params["attention.W_c"]) if self.late else len(state[self.cell.output])


def write(decoder: Decoder, h: np.ndarray, x: np.ndarray, state: Mapping, inputs):
    """Over x (T,I) with source h (n,K): y of each step, weights of each step (None without
    attention), the final states, and what ``write_backward`` needs. inputs: step -> what it is
    given beside x."""
    own, output = of(decoder.params, "attention"), decoder.cell.output
    y, weights, records = [], [], []
    before = zeros_like_type((decoder.width(state),), state[output])
    for t, x_t in enumerate(x):
        q = alpha = both = None
        given = [x_t]
        if decoder.kind == "bahdanau":
            q = state[output]
            context, alpha = attend(decoder.score, own, q, h)
            given.append(context)
        if decoder.kind == "feeding":
            given.append(before)
        params = of(decoder.params, "decoder")
        state, tape = step(decoder.cell, params, np.concatenate(given), state, inputs(t))
        y_t = state[output]
        if decoder.late:
            q = y_t
            context, alpha = attend(decoder.score, own, q, h)
            both = np.concatenate([context, q])
            y_t = tanh(own["W_c"] @ both)
        y.append(y_t)
        weights.append(alpha)
        records.append((tape, q, alpha, both))
        before = y_t
    return y, weights, state, (h, x, y, records)


def write_backward(decoder: Decoder, left, dy: np.ndarray, dstate: Mapping, dparams: dict):
    """(gradient at the states before the first step, dx (T,I), dh (n,K)); adds to dparams."""
    h, x, y, records = left
    own, output = of(decoder.params, "attention"), decoder.cell.output
    I, K = x.shape[1], h.shape[1]
    like = dstate[output]  # the others may be empty
    dx, dh = zeros_like_type(x.shape, like), zeros_like_type(h.shape, like)
    dbefore = zeros_like_type(dy.shape[1:], like)
    for t in reversed(range(len(records))):
        tape, q, alpha, both = records[t]
        ds = dy[t]
        if decoder.kind == "feeding":
            ds = ds + dbefore
        if decoder.late:
            da = ds * (1 - y[t] * y[t])
            accumulate(dparams, "attention", {"W_c": np.outer(da, both)})
            dboth = own["W_c"].T @ da
            more, dq, dh_t = attend_backward(decoder.score, own, q, h, alpha, dboth[:K])
            accumulate(dparams, "attention", more)
            ds, dh = dboth[K:] + dq, dh + dh_t
        dstate = dstate | {output: dstate[output] + ds}
        more, dgiven, dstate = step_backward(tape, dstate)
        accumulate(dparams, "decoder", more)
        dx[t] = dgiven[:I]
        if decoder.kind == "feeding":
            dbefore = dgiven[I:]
        if decoder.kind == "bahdanau":
            more, dq, dh_t = attend_backward(decoder.score, own, q, h, alpha, dgiven[I:])
            accumulate(dparams, "attention", more)
            dstate, dh = dstate | {output: dstate[output] + dq}, dh + dh_t
    return dstate, dx, dh
