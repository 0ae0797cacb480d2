"""Gradient clipping. A NaN or inf is reported, never scaled away."""

import math
from collections.abc import Mapping

import numpy as np

from . import checks


def clip_by_global_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], float]:
    """g * min(1, max_norm / norm), norm being the 2-norm of all arrays together.

    Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063), algorithm 1. Returns new arrays of the
    dtypes given (float32, float64), and the norm before clipping, taken in float64.
    Raises ValueError on a gradient that is not finite, and unless max_norm > 0.
    """
    grads = _finite(grads)
    max_norm = _positive("max_norm", max_norm)
    norm = _norm(*grads.values())
    return {name: _scaled(g, norm, max_norm) for name, g in grads.items()}, norm


def clip_by_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The same with every array by itself; the norms by name."""
    clipped, norms = {}, {}
    for name, g in grads.items():
        one, norms[name] = clip_by_global_norm({name: g}, max_norm)
        clipped |= one
    return clipped, norms


def clip_by_sequence_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], list[float]]:
    """The same with every sequence by itself: row b of all arrays (B,width) together. For the
    gradient at the states, where it crosses from a step to the one before."""
    rows, norms = [], []
    for b in range(len(next(iter(grads.values())))):
        one, norm = clip_by_global_norm({name: g[b] for name, g in grads.items()}, max_norm)
        rows.append(one)
        norms.append(norm)
    return {name: np.stack([row[name] for row in rows]) for name in grads}, norms


def clip_by_value(grads: Mapping[str, np.ndarray], limit: float) -> dict[str, np.ndarray]:
    """Each entry into -limit..limit; new arrays of the dtypes given (float32, float64).

    Raises ValueError on a gradient that is not finite, and unless limit > 0.
    """
    grads = _finite(grads)
    limit = _positive("limit", limit)
    return {name: np.clip(g, -limit, limit) for name, g in grads.items()}


def _norm(*arrays: np.ndarray) -> float:
    # scaled by the largest entry, so that squares neither overflow nor vanish
    largest = max((float(np.abs(g).max()) for g in arrays if g.size), default=0.0)
    if largest == 0.0:
        return 0.0
    squares = [np.square(g.astype(np.float64) / largest).sum() for g in arrays]
    norm = largest * math.sqrt(math.fsum(squares))
    if math.isinf(norm):
        raise ValueError("grads: the norm overflows float64")
    return norm


def _scaled(g: np.ndarray, norm: float, max_norm: float) -> np.ndarray:
    return g.copy() if norm <= max_norm else g * (max_norm / norm)


def _finite(grads) -> dict[str, np.ndarray]:
    if not isinstance(grads, Mapping):
        raise ValueError(f"grads: {type(grads).__name__}, expected a mapping of name to array")
    arrays = {name: checks.number_array(name, g, checks.FLOATS) for name, g in grads.items()}
    for name, g in arrays.items():
        if not np.isfinite(g).all():
            raise ValueError(f"{name}: NaN or inf in the gradient, expected finite numbers")
    return arrays


def _positive(name: str, value: float) -> float:
    # as a Python float, so that it does not turn float32 gradients into float64
    if not value > 0:
        raise ValueError(f"{name}: {value!r}, expected a number above 0")
    return float(value)
