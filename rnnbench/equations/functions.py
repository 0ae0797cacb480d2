"""The functions an equation may call. Each target replaces them by its own fast version.

Called as they are (Python, the CUDA simulator) they work on NumPy scalars and keep their type.
``const(x, v)`` is the literal v in x's type: a bare ``1.0`` would turn float32 maths into
float64 under Numba.
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


def sigmoid(x):
    """1/(1+exp(-x)): exact in both tails, since 1/inf = 0."""
    one = const(x, 1.0)
    return one / (one + exp(-x))


def relu(x):
    """max(0, x); a NaN stays NaN."""
    return const(x, 0.0) if x <= const(x, 0.0) else x


def step(x):
    """The derivative of relu, with 0 at 0; a NaN stays NaN."""
    if x > const(x, 0.0):
        return const(x, 1.0)
    return const(x, 0.0) if x <= const(x, 0.0) else x
