"""How far back truncated backpropagation has to go for a bias that is tolerable.

Aicher, Foti & Fox 2019, "Adaptively truncating backpropagation through time to control gradient
bias", arXiv:1905.07473. With L_s the loss of step s and h_t the states after step t, let
    φ_k = E_s ‖∂L_s/∂h_{s−k}‖            (Euclidean norms, of all states of a sequence together)
    M ≥ ‖u ∂h_t/∂θ‖ / ‖u‖                (θ the parameters' direct effect on step t alone)
    g_K = E_s Σ_{k<K} ∂L_s/∂h_{s−k} ∂h_{s−k}/∂θ     (what backpropagation over K steps gives).
Assumption: from a lag τ on the norms decay geometrically, φ_k ≤ φ_τ β^(k−τ) with β < 1. Then
    ‖g_∞ − g_K‖ ≤ E(K) = M (Σ_{K≤k<τ} φ_k + φ_τ β^max(K−τ,0) / (1 − β)),
    ‖g_∞‖ ≥ max_j (‖g_j‖ − E(j)),
so the relative bias is at most E(K) divided by that. Here E_s is the mean over the steps s that
are measured, a batch's norms being summed; ``measure`` gets all three from backward passes of one
step each. β is the least that holds for all lags measured (the paper also fits a line); M is the
largest ratio seen. Beyond what was measured the bound rests on the assumption.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from rnnbench.checks import as_array, check_count
from rnnbench.errors import InputError, shown
from rnnbench.gradients.chunks import check_sequence, chunks_of
from rnnbench.gradients.clipping import check_positive
from rnnbench.gradients.ends import check_ends


class Decay(NamedTuple):
    """What was measured at lags 0 … reach−1.

    norms[k]: φ_k; totals[k]: ‖g_{k+1}‖; slope: M. All float64.
    """

    norms: np.ndarray
    totals: np.ndarray
    slope: float


class Bounds(NamedTuple):
    """Of the bias of backpropagation over K = 1 … reach steps, at [K − 1].

    absolute: E(K), inf where the norms do not decay or are not finite; relative: E(K) over the
    least that the whole gradient's norm can be, inf where that may be 0; rate: β.
    """

    absolute: np.ndarray
    relative: np.ndarray
    rate: float


def measure(
    target,
    cell,
    params: Mapping,
    x: np.ndarray,
    dy: np.ndarray,
    reach: int,
    steps: Iterable[int] | None = None,
    state: Mapping | None = None,
    lengths=None,
    inputs: Mapping | None = None,
) -> Decay:
    """Measure the decay along x (T,B,I) of a cell or a causal layer, in backward passes.

    dy (T,B,H): the gradient of each step's loss at its own y. reach: how many steps to go back.
    steps: the losses to measure, each step once; by default all that have ``reach`` steps behind
    them. One with fewer counts as 0 at lags beyond the sequence's start: right for sequences of
    this length, not for longer ones. The rest as of ``runner.run``. Takes T forward and
    len(steps)·reach backward passes of one step, holds ``reach`` tapes.
    """
    x = check_sequence(x)
    T = len(x)
    reach = check_count("reach", reach)
    if reach > T:
        raise InputError(f"reach is {reach}; x has T={T} steps")
    chosen = set(range(reach - 1, T)) if steps is None else check_measured(steps, T)
    chunks = chunks_of(target, cell, params, x, lengths, inputs, whole=T == 1)
    dy = check_ends(chunks, as_array("dy", dy), None)
    norms, slope, gradients = np.zeros(reach), 0.0, None
    tapes = deque(maxlen=reach)
    for s in range(T):
        chunk = chunks.forward(s, s + 1, state, True)
        state = chunk.final
        tapes.append(chunk.tape)
        if s not in chosen:
            continue
        running = (s < chunks.lengths)[:, None]
        loss, after = dy[s : s + 1], None
        arriving = [np.where(running, loss[0], 0)]  # ∂L_s/∂h_s
        for k, tape in enumerate(reversed(tapes)):
            norm = float(row_norms(arriving).sum())
            found = chunks.backward(tape, loss, after)
            flat = np.concatenate([g.ravel() for g in found.params.values()]).astype(float)
            if gradients is None:
                gradients = np.zeros((reach, flat.size))
            with np.errstate(all="ignore"):  # what is not finite says so in the result
                gradients[k] += flat
                norms[k] += norm
                if norm:
                    slope = np.maximum(slope, np.linalg.norm(flat) / norm)  # max loses a NaN
            loss, after = None, found.state
            arriving = list(after.values())
    sums = np.cumsum(gradients, axis=0)
    return Decay(norms / len(chosen), np.linalg.norm(sums, axis=1) / len(chosen), float(slope))


def check_measured(steps: Iterable[int], T: int) -> set[int]:
    """The steps whose losses are measured."""
    if not isinstance(steps, Iterable) or isinstance(steps, str):
        raise InputError(f"steps are {shown(steps)}; need some of 0 to {T - 1}")
    chosen = {check_count("step", s, 0) for s in steps}
    outside = sorted(s for s in chosen if s >= T)
    if outside or not chosen:
        raise InputError(f"steps: {outside or 'none'}; needs some of 0 to {T - 1}")
    return chosen


def row_norms(arrays: list[np.ndarray]) -> np.ndarray:
    """(B,): the norm of each sequence's row of all arrays (B,width) together."""
    return np.linalg.norm(np.concatenate(arrays, axis=1).astype(float), axis=1)


def bias_bounds(decay: Decay, start: int = 0) -> Bounds:
    """The bounds of the module's docstring. start: τ, below the reach that was measured."""
    if not isinstance(decay, Decay):
        raise InputError(f"decay is {shown(decay)}; needs what measure gives")
    norms, slope = decay.norms, decay.slope
    reach = len(norms)
    if check_count("start", start, 0) >= reach:
        raise InputError(f"start is {start}; the norms were measured at lags 0 to {reach - 1}")
    rate = decay_rate(norms[start:])
    K = np.arange(1, reach + 1)
    between = np.array([norms[k:start].sum() for k in K])
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.inf if rate >= 1 else norms[start] * rate ** np.maximum(K - start, 0) / (1 - rate)
        absolute = slope * (between + tail) if slope else np.zeros(reach)
        absolute = np.where(np.isnan(absolute), np.inf, absolute)  # nothing is known
        least = (decay.totals - absolute).max()
        relative = absolute / least if least > 0 else np.full(reach, np.inf)
    return Bounds(absolute, relative, rate)


def decay_rate(norms: np.ndarray) -> float:
    """The least β with norms[k] ≤ norms[0] β^k for all k; inf where there is none below 1."""
    if len(norms) == 1:
        return np.inf  # one lag says nothing of a decay
    if norms[0] == 0:
        return np.inf if norms.any() else 0.0
    rate = float(((norms[1:] / norms[0]) ** (1 / np.arange(1, len(norms)))).max())
    return rate if rate < 1 else np.inf


def least_truncation(decay: Decay, tolerance: float, start: int = 0) -> int | None:
    """The smallest K whose bound on the relative bias is below ``tolerance``; None where no K that
    was measured has one.

    ``truncated(T, k1, K + k1 - 1)`` sends each loss back at least K steps.
    """
    tolerance = check_positive("tolerance", tolerance)
    enough = np.flatnonzero(bias_bounds(decay, start).relative < tolerance)
    return int(enough[0]) + 1 if enough.size else None
