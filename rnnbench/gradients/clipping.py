"""Gradient clipping. A NaN or inf is reported, never scaled away.

    by global norm       g · min(1, c / ‖all gradients together‖)
    by norm              g · min(1, c / ‖g‖), each array by itself
    by value             each entry limited to [−c, c]
    through time         either, of the gradient at the states, at every step on the way back:
                         by norm, each sequence by itself, ‖all its states together‖

Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063), algorithm 1, for the norm. Limits inside the
recurrence, at each step: Graves 2013 (arXiv:1308.0850), section 2.1.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from rnnbench.checks import check_array
from rnnbench.errors import InputError, NonFiniteGradient, shown

Clip = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def clip_by_global_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], float]:
    """g · min(1, max_norm / norm), norm the Euclidean norm of all arrays together.

    grads: name -> float32 or float64 array; returns new arrays of the same dtypes and the norm
    before clipping. Up to and including max_norm the gradients come back unchanged.
    NonFiniteGradient names the array that holds NaN or inf; InputError unless 0 < max_norm < inf.
    """
    max_norm = check_positive("max_norm", max_norm)
    grads = check_finite(grads)
    norm = euclidean(grads.values())
    if not norm < math.inf:
        raise NonFiniteGradient("the gradients' global norm overflows float64")
    return {name: shortened(g, norm, max_norm) for name, g in grads.items()}, norm


def clip_by_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """g · min(1, max_norm / ‖g‖), each array by itself; new arrays, and the norms before clipping.

    Raises as ``clip_by_global_norm``.
    """
    max_norm = check_positive("max_norm", max_norm)
    grads = check_finite(grads)
    norms = {name: euclidean([g]) for name, g in grads.items()}
    for name, norm in norms.items():
        if not norm < math.inf:
            raise NonFiniteGradient(f"the norm of gradient {name} overflows float64")
    return {name: shortened(g, norms[name], max_norm) for name, g in grads.items()}, norms


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
        clipped[name] = np.asarray(np.clip(g, -bound, bound))  # of a 0-d array too
    return clipped


def clip_by_sequence_norm(
    grads: Mapping[str, np.ndarray], max_norm: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """g_b · min(1, max_norm / ‖g_b‖) for each sequence b, g_b its rows of all arrays (B,width).

    A sequence's bits depend on no other sequence. Returns new arrays and the norms (B,), float64,
    before clipping. Raises as ``clip_by_global_norm``, and InputError for other shapes.
    """
    max_norm = check_positive("max_norm", max_norm)
    grads = check_finite(grads)
    if not grads:
        return {}, np.zeros(0)
    shapes = {name: g.shape for name, g in grads.items()}
    if any(len(s) != 2 for s in shapes.values()) or len({s[0] for s in shapes.values()}) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"gradients of states have shapes {listed}; need (B, width), one B")
    largest = np.max([np.abs(g).max(axis=1, initial=0) for g in grads.values()], axis=0)
    largest = largest.astype(np.float64)
    scale = np.where(largest > 0, largest, 1)[:, None]
    with np.errstate(over="ignore"):
        norms = largest * np.sqrt(sum(np.square(g / scale).sum(axis=1) for g in grads.values()))
    if not (norms < math.inf).all():
        bad = int(np.argmin(norms < math.inf))
        raise NonFiniteGradient(f"the norm of the states' gradient of sequence {bad} overflows")
    over = norms > max_norm
    clipped = {name: g.copy() for name, g in grads.items()}
    for g in clipped.values():
        g[over] = g[over] * (max_norm / norms[over])[:, None]
    return clipped, norms


def clip_through_time(max_norm: float | None = None, limit: float | None = None) -> Clip:
    """A clip of the gradient that crosses from a step to the one before, for a schedule's runner.

    The function returned takes and gives back the gradients at the states, name -> (B,width), and
    is applied wherever one crosses: clipped there, it goes on shorter. Give one of max_norm, as
    ``clip_by_sequence_norm``, and limit, as ``clip_by_value``; raises as those.
    """
    if (max_norm is None) == (limit is None):
        given = f"max_norm is {shown(max_norm)} and limit is {shown(limit)}"
        raise InputError(f"{given}; give exactly one")
    if limit is not None:
        limit = check_positive("limit", limit)
        return lambda grads: clip_by_value(grads, limit)
    max_norm = check_positive("max_norm", max_norm)
    return lambda grads: clip_by_sequence_norm(grads, max_norm)[0]


def euclidean(arrays: Iterable[np.ndarray]) -> float:
    """The norm of all arrays together; inf where float64 cannot hold it."""
    arrays = [g for g in arrays if g.size]
    # Relative to the largest entry: squares neither overflow nor vanish, in float64 either.
    largest = max((float(np.abs(g).max()) for g in arrays), default=0.0)
    if largest == 0.0:
        return 0.0
    return largest * math.sqrt(
        math.fsum(float(np.square(g / np.float64(largest)).sum()) for g in arrays)
    )


def shortened(g: np.ndarray, norm: float, max_norm: float) -> np.ndarray:
    """A copy, scaled where the norm that counts is above max_norm."""
    if norm <= max_norm:
        return g.copy()
    return np.asarray(g * np.float64(max_norm / norm), g.dtype)  # of a 0-d array too


def check_positive(name: str, value: float) -> float:
    """A finite number above 0."""
    given = value
    number = isinstance(value, int | float | np.integer | np.floating)
    try:
        value = float(value) if number and not isinstance(value, bool) else math.nan
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {shown(given)}; needs a finite number above 0")
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
