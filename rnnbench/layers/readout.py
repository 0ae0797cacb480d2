"""The readout of a reservoir: a linear layer fitted in one go, by ridge regression.

    minimise over weight (K,H) and bias (K,)
    ½ Σ_n |weight s_n + bias − t_n|² + ½ ridge |weight|²        s_n (H,), t_n (K,)

Jaeger 2001, "The echo state approach", section 3, fits without a penalty; Lukoševičius 2012, "A
practical guide to applying echo state networks", eq. 9, with it. The sum is over all rows: a
penalty on the mean error of N rows is ``ridge = N · penalty``. The bias is not penalised.
"""

import math
import sys
from numbers import Real

import numpy as np

from rnnbench.checks import check_array, check_count, check_lengths
from rnnbench.errors import InputError, shown


def collect(history: np.ndarray, lengths=None, washout: int = 0) -> np.ndarray:
    """The rows to fit: (T,B,H) to (N,H), in time order. The same call serves for the labels.

    lengths (B,): 0 to T; steps past a sequence's end are left out.
    washout: so many first steps of each sequence are left out too, for as long as the states
    still remember where they started.
    InputError for anything else, and where nothing remains.
    """
    history = check_array("history", history, 3)
    T, B, _ = history.shape
    if not T or not B:
        raise InputError(f"history has shape {history.shape}; each size must be at least 1")
    lengths = check_lengths(lengths, T, B)
    washout = check_count("washout", washout, 0)
    time = np.arange(T)[:, None]
    kept = (time >= washout) & (time < lengths)
    if not kept.any():
        raise InputError(f"no step remains: washout is {washout}, the longest of {lengths.max()}")
    return history[kept]


def fit_ridge(
    states: np.ndarray, targets: np.ndarray, ridge: float, bias: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The minimising weight (K,H) and bias (K,); zeros for the bias where ``bias`` is False.

    states (N,H), targets (N,K): both float32 or both float64; fitted in float64, given back in
    their dtype. ridge: at least 0; at 0 the least-squares solution, the smallest one where
    there are several. InputError for anything else, a NaN or inf included.
    """
    from scipy.linalg import lstsq  # slow to import

    states, targets = check_array("states", states, 2), check_array("targets", targets, 2)
    if targets.dtype != states.dtype:
        raise InputError(f"targets are {targets.dtype}, states are {states.dtype}; give one dtype")
    if len(states) != len(targets) or 0 in states.shape + targets.shape:
        raise InputError(
            f"states have shape {states.shape}, targets {targets.shape}; "
            "need (N, H) and (N, K), each at least 1"
        )
    for name, array in (("states", states), ("targets", targets)):
        if not np.isfinite(array).all():
            raise InputError(f"{name} hold NaN or inf; a readout is fitted to finite numbers")
    is_number = isinstance(ridge, Real) and not isinstance(ridge, bool)
    if not is_number or not 0 <= ridge <= sys.float_info.max:
        raise InputError(f"ridge is {shown(ridge)}; needs a number of at least 0")
    if not isinstance(bias, bool):
        raise InputError(f"bias is {shown(bias)}; needs True or False")

    H, K = states.shape[1], targets.shape[1]
    dtype = states.dtype
    states, targets = states.astype(np.float64), targets.astype(np.float64)
    # With the means taken out, the best bias is 0: what remains is a regression without one.
    middle, level = np.zeros(H), np.zeros(K)
    if bias:
        middle, level = states.mean(axis=0), targets.mean(axis=0)
        states -= middle
        targets -= level
    # The penalty as H further rows: the normal equations would square the condition number.
    if ridge:
        states = np.concatenate([states, math.sqrt(ridge) * np.eye(H)])
        targets = np.concatenate([targets, np.zeros((H, K))])
    weight = lstsq(states, targets, check_finite=False)[0].T
    return np.ascontiguousarray(weight, dtype), (level - weight @ middle).astype(dtype)
