"""Scalar functions, generic over the number type.

The same code runs on
  float32, float64     the ordinary numbers; a result keeps its operands' dtype
  complex128           for complex-step derivatives: everything here is analytic, and what must
                       branch (relu, max-shift) branches on the real part
  object arrays        of flint.arb balls: NumPy's object loops call each ball's .exp(), .tanh()

These helpers are the only place where the reference branches on a value.
"""

import numpy as np


def zeros_like_type(shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
    """Zeros of the given shape, in the number type of the (non-empty) array `like`."""
    if like.dtype == object:
        return np.full(shape, type(like.flat[0])(0), dtype=object)
    return np.zeros(shape, dtype=like.dtype)


def exp(x: np.ndarray) -> np.ndarray:
    return np.exp(x)


def log(x: np.ndarray) -> np.ndarray:
    return np.log(x)


def tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)). A float exp may overflow to inf: the quotient is then the right 0.

    Complex x: for real parts above -700, where exp does not overflow (a complex inf gives NaN).
    """
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def real_part(x: np.ndarray) -> np.ndarray:
    """What a branch looks at: the real part of a complex, the midpoint of a ball (exact)."""
    if x.dtype == object:
        return np.frompyfunc(lambda v: v.mid(), 1, 1)(x)
    return x.real


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0) by the real part; NaN stays NaN; a ball across 0 gives a ball of [0, upper]."""
    if x.dtype == object:
        return np.frompyfunc(lambda v: v.max(type(v)(0)), 1, 1)(x)
    return np.where(x.real <= 0, zeros_like_type(x.shape, x), x)


def relu_slope(x: np.ndarray) -> np.ndarray:
    """Derivative of relu: 1 for x > 0, 0 for x <= 0, NaN for NaN; a ball across 0 gives [0, 1]."""
    if x.dtype == object:
        return np.frompyfunc(_ball_slope, 1, 1)(x)
    zero = zeros_like_type(x.shape, x)
    return np.where(x.real > 0, zero + 1, np.where(x.real <= 0, zero, x))


def _ball_slope(v):
    zero, one = type(v)(0), type(v)(1)
    if v > zero:
        return one
    return zero if v <= zero else zero.union(one)


def shift_to_max(x: np.ndarray) -> np.ndarray:
    """x minus its largest real part along the last axis.

    The shift is a constant as far as derivatives and balls go: softmax and log-sum-exp do not
    depend on it, it only keeps exp from overflowing.
    """
    return x - real_part(x).max(axis=-1, keepdims=True)


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)) without overflow: x + log1p(exp(-x)) where that is the smaller exponent."""
    positive = real_part(x) > 0
    return np.where(positive, x, zeros_like_type(x.shape, x)) + np.log1p(
        np.exp(np.where(positive, -x, x))
    )
