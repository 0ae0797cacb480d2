"""Sparse attentive backtracking, one sequence at a time: Ke et al., arXiv:1809.03702.

    h^_t = the cell's output state from x_t and the states before
    a_i  = score(h^_t, m_i), of every memory m_i                 attention.py
    w    = weights of the top_k largest a_i, the others' are 0
    s_t  = sum_i w_i m_i;  h_t = h^_t + s_t
    if t (from 1) is a multiple of ``every``: h_t becomes a memory

weighting    w_i of the kept
"softmax"    exp(a_i) / sum of the kept exp(a_j)
"shifted"    (a_i - a*) / sum of the kept (a_j - a*), a* the largest one not kept; a_i where all
             are kept

Backwards, a gradient goes to the memories that were kept, and along the recurrence up to an edge:
the states carried into the steps k, 2 k, .. (from 0) of ``truncation`` k are constants.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .attention import score, score_backward
from .cells import get_cell
from .chain import accumulate, of, row, step, step_backward
from .functions import exp, real_part, shift_to_max, zeros_like_type


class Options(NamedTuple):
    every: int = 1
    top_k: int | None = None
    truncation: int | None = None
    score: str = "additive"
    weighting: str = "softmax"


class Result(NamedTuple):
    """y (T,B,H), the h_t, and summaries (T,B,H), the s_t, zero past the end; weights (T,B,M);
    state: final states; carried: per sequence, the states before each step; tape."""

    y: np.ndarray
    summaries: np.ndarray
    weights: np.ndarray
    state: dict[str, np.ndarray]
    carried: list
    tape: tuple


class Gradients(NamedTuple):
    params: dict[str, np.ndarray]
    x: np.ndarray
    state: dict[str, np.ndarray]


class Record(NamedTuple):
    """Of a step: the cell's tape, h^, the scores, the places of those kept, and their weights."""

    tape: Any
    h: np.ndarray
    scores: np.ndarray
    kept: list[int]
    weights: np.ndarray


def forward(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray],
    lengths,
    options: Options,
    constants: list | None = None,
) -> Result:
    """params: ``layer.…`` and ``attention.…``; state: every initial state, name -> (B,width).

    constants: another run's ``carried``, whose states are carried across the edges in place of
    this run's: what ``backward`` differentiates, as a function of params, x and state.
    """
    cell = get_cell(cell)
    T, B, _ = x.shape
    lengths = checks.sequence_lengths(lengths, T, B)
    H = state[cell.output].shape[1]
    y, summaries = zeros_like_type((T, B, H), x), zeros_like_type((T, B, H), x)
    weights = zeros_like_type((T, B, T // options.every), x)
    final = {name: zeros_like_type(v.shape, x) for name, v in state.items()}
    carried, sequences = [], []
    for b in range(B):
        now, memories, records, before = row(state, b), [], [], []
        for t in range(lengths[b]):
            if constants is not None and is_edge(t, options):
                now = {name: v + zeros_like_type((), x) for name, v in constants[b][t].items()}
            before.append(now)
            now, tape = step(cell, of(params, "layer"), x[t, b], now)
            h, s = now[cell.output], summaries[t, b]
            scores = zeros_like_type((len(memories),), x)
            for i, m in enumerate(memories):
                scores[i] = score(options.score, of(params, "attention"), h, m)
            kept = largest(scores, options.top_k)
            w = weigh(scores, kept, options.weighting)
            for i in kept:
                s = s + w[i] * memories[i]
            now[cell.output] = h + s
            y[t, b], summaries[t, b] = h + s, s
            weights[t, b, : len(w)] = w
            records.append(Record(tape, h, scores, kept, w))
            if (t + 1) % options.every == 0:
                memories.append(h + s)
        for name in final:
            final[name][b] = now[name]
        carried.append(before)
        sequences.append((memories, records))
    tape = cell, dict(params), x, options, sequences
    return Result(y, summaries, weights, final, carried, tape)


def backward(tape: tuple, dy: np.ndarray, dsummaries, dstate: Mapping) -> Gradients:
    """From dy (T,B,H) at y, dsummaries (T,B,H), and the gradient at every final state."""
    cell, params, x, options, sequences = tape
    own = of(params, "attention")
    dparams = {name: zeros_like_type(p.shape, p) for name, p in params.items()}
    dx = zeros_like_type(x.shape, x)
    dinitial = {name: zeros_like_type(d.shape, d) for name, d in dstate.items()}
    for b, (memories, records) in enumerate(sequences):
        dnow = row(dstate, b)
        dm = [zeros_like_type(m.shape, x) for m in memories]
        for t in reversed(range(len(records))):
            step_tape, h, scores, kept, w = records[t]
            dh = dnow[cell.output] + dy[t, b]
            if (t + 1) % options.every == 0:
                dh = dh + dm[(t + 1) // options.every - 1]
            ds = dh + dsummaries[t, b]
            dw = zeros_like_type(w.shape, x)
            for i in kept:
                dw[i] = ds @ memories[i]
                dm[i] = dm[i] + w[i] * ds
            dscores = weigh_backward(scores, kept, w, dw, options.weighting)
            for i, de in enumerate(dscores):
                more, dq, dm_i = score_backward(options.score, own, h, memories[i], de)
                accumulate(dparams, "attention", more)
                dh, dm[i] = dh + dq, dm[i] + dm_i
            more, dx[t, b], dnow = step_backward(step_tape, dnow | {cell.output: dh})
            accumulate(dparams, "layer", more)
            if is_edge(t, options):
                dnow = {name: zeros_like_type(d.shape, d) for name, d in dnow.items()}
        for name in dinitial:
            dinitial[name][b] = dnow[name]
    return Gradients(dparams, dx, dinitial)


def is_edge(t: int, options: Options) -> bool:
    """Whether what is carried into step t (from 0) counts as constant."""
    return options.truncation is not None and t > 0 and t % options.truncation == 0


def largest(scores: np.ndarray, k: int | None) -> list[int]:
    """The places of the k largest scores, all where k is None; of equals, the first."""
    real = real_part(scores)
    places = sorted(range(len(scores)), key=lambda i: (-real[i], i))
    return places if k is None else places[:k]


def weigh(scores: np.ndarray, kept: list[int], weighting: str) -> np.ndarray:
    weights = zeros_like_type(scores.shape, scores) if len(scores) else scores
    if not kept:
        return weights
    if weighting == "softmax":
        values = exp(shift_to_max(scores[kept]))
    elif len(kept) == len(scores):
        return scores
    else:
        values = scores[kept] - scores[edge_of(scores, kept)]
    weights[kept] = values / values.sum()
    return weights


def weigh_backward(scores, kept: list[int], w, dw, weighting: str) -> np.ndarray:
    """The gradient at the scores; which ones are kept is constant."""
    if weighting == "shifted" and len(kept) == len(scores):
        return dw
    dscores = zeros_like_type(dw.shape, dw) if len(dw) else dw
    if not kept:
        return dscores
    mean = w[kept] @ dw[kept]
    if weighting == "softmax":
        dscores[kept] = w[kept] * (dw[kept] - mean)
        return dscores
    edge = edge_of(scores, kept)
    total = (scores[kept] - scores[edge]).sum()
    dscores[kept] = (dw[kept] - mean) / total
    dscores[edge] = -dscores[kept].sum()
    return dscores


def edge_of(scores: np.ndarray, kept: list[int]) -> int:
    """The place of the largest score that is not kept."""
    return largest(scores, len(kept) + 1)[-1]
