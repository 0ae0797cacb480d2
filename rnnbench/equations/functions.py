"""The functions an equation may call. Each target replaces some of them by its own fast version.

Called as they are (Python, the CUDA simulator) they work on NumPy scalars and keep their type.
``const(x, v)`` is the literal v in x's type: a bare ``1.0`` would turn float32 maths into
float64 under Numba. ``const``, ``exp``, ``tanh``, ``absolute``, ``floor``, ``log1p`` and
``where_above`` are what a target provides; the others are written in terms of these, though a
target may have a faster version of those too, as the CPU has of ``sigmoid``.

Where a choice depends on a NaN the result is NaN. Otherwise only the chosen value counts: what was
computed for the other side may be NaN or infinite. A chosen value passes bit for bit.

Kinks: the slope at a kink is 0 (``relu`` at 0, ``clip`` at its bounds), that of ``floor`` is 0
everywhere, and where the two arguments of ``maximum`` tie the gradient goes to the first: of d at
maximum(x, y), x gets ``where_above(y, x, zero, d)`` and y gets ``where_above(y, x, d, zero)``.
"""

import numpy as np


def const(x, v):
    """v, in the number type of x."""
    return type(x)(v)


def exp(x):
    with np.errstate(over="ignore"):
        return np.exp(x)


def tanh(x):
    return np.tanh(x)


def absolute(x):
    return np.absolute(x)


def floor(x):
    """The largest whole number that is not above x."""
    return np.floor(x)


def log1p(x):
    """log(1 + x), also where x is too small to change 1: x > −1; −inf at −1, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(x)


def where_above(x, y, a, b):
    """a where x > y, b where x <= y, NaN where x or y is NaN."""
    if x > y:
        return a
    return b if x <= y else x + y


def select(c, a, b):
    """a where c > 0, b where c <= 0; a NaN stays NaN."""
    return where_above(c, const(c, 0.0), a, b)


def relu(x):
    """max(0, x); a NaN stays NaN."""
    return select(x, x, const(x, 0.0))


def step(x):
    """The derivative of relu, with 0 at 0; a NaN stays NaN."""
    return select(x, const(x, 1.0), const(x, 0.0))


def maximum(x, y):
    """The larger one; NaN where either is."""
    return where_above(y, x, y, x)


def clip(x, low, high):
    """x, low below it, high above it; a NaN stays NaN."""
    return where_above(x, high, high, where_above(low, x, low, x))


def inside(x, low, high):
    """The derivative of clip: 1 where low < x < high, else 0; a NaN stays NaN."""
    zero = const(x, 0.0)
    return where_above(x, low, where_above(high, x, const(x, 1.0), zero), zero)


def sigmoid(x):
    """1/(1+exp(-x)): exact in both tails, since 1/inf = 0."""
    one = const(x, 1.0)
    return one / (one + exp(-x))


def softplus(x):
    """log(1 + exp(x)), whose derivative is sigmoid; no exponent is above 0."""
    return relu(x) + log1p(exp(-absolute(x)))
