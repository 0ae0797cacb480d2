"""Gradient clipping. A NaN or inf is reported, never scaled away."""

import math
from collections.abc import Mapping

import numpy as np

from rnnbench.checks import check_array
from rnnbench.errors import InputError, NonFiniteGradient


def clip_by_global_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], float]:
    """g · min(1, max_norm / norm), norm the Euclidean norm of all arrays together.

    Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063), algorithm 1. grads: name -> float32 or
    float64 array; returns new arrays of the same dtypes and the norm before clipping. Up to and
    including max_norm the gradients come back unchanged.
    NonFiniteGradient names the array that holds NaN or inf; InputError unless 0 < max_norm < inf.
    """
    max_norm = check_positive("max_norm", max_norm)
    grads = check_finite(grads)
    # Relative to the largest entry: squares neither overflow nor vanish, in float64 either.
    largest = max((float(np.abs(g).max()) for g in grads.values() if g.size), default=0.0)
    if largest == 0.0:
        return {name: g.copy() for name, g in grads.items()}, 0.0
    total = math.fsum(float(np.square(g / np.float64(largest)).sum()) for g in grads.values())
    norm = largest * math.sqrt(total)
    if not norm < math.inf:
        raise NonFiniteGradient("the gradients' global norm overflows float64")
    if norm <= max_norm:
        return {name: g.copy() for name, g in grads.items()}, norm
    scale = np.float64(max_norm / norm)
    return {name: (g * scale).astype(g.dtype) for name, g in grads.items()}, norm


def clip_by_value(grads: Mapping[str, np.ndarray], limit: float) -> dict[str, np.ndarray]:
    """Each entry limited to [-limit, limit]; new arrays of the same dtypes.

    The bound is the largest number of the array's dtype that is not above limit. Raises as
    ``clip_by_global_norm``.
    """
    limit = check_positive("limit", limit)
    clipped = {}
    for name, g in check_finite(grads).items():
        bound = g.dtype.type(min(limit, float(np.finfo(g.dtype).max)))
        if bound > limit:
            bound = np.nextafter(bound, g.dtype.type(0))
        clipped[name] = np.clip(g, -bound, bound)
    return clipped


def check_positive(name: str, value: float) -> float:
    """A finite number above 0."""
    given = value
    number = isinstance(value, int | float | np.integer | np.floating)
    try:
        value = float(value) if number and not isinstance(value, bool) else math.nan
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {given!r}; needs a finite number above 0")
    return value


def check_finite(grads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients as float arrays; NonFiniteGradient for the first that holds NaN or inf."""
    if not isinstance(grads, Mapping):
        raise InputError(f"grads is a {type(grads).__name__}; needs a mapping name -> array")
    arrays = {name: check_array(f"gradient {name}", g) for name, g in grads.items()}
    for name, g in arrays.items():
        finite = np.isfinite(g)
        if not finite.all():
            bad = g[~finite]
            what = "NaN" if np.isnan(bad).any() else "inf"
            raise NonFiniteGradient(
                f"gradient {name} holds {what} ({bad.size} of {g.size} entries not finite)"
            )
    return arrays
