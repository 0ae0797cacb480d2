"""exp and tanh on vectors: error in units in the last place, and the ends of the range."""

import numpy as np
import pytest

from rnnbench.cpu.jit import kernel
from rnnbench.cpu.simd import lanes_of, load, store
from rnnbench.cpu.vectormath import STUBS
from rnnbench.equations import functions

EXP, TANH = STUBS[functions.exp], STUBS[functions.tanh]
RELU, STEP = STUBS[functions.relu], STUBS[functions.step]
LARGEST_ERROR = 2.0  # ulp, as the module says


@kernel
def apply(which, x, y):
    """y = f(x), a vector at a time."""
    for i in range(0, len(x), lanes_of(x)):
        v = load(x, i)
        if which == 0:
            v = EXP(v)
        elif which == 1:
            v = TANH(v)
        elif which == 2:
            v = RELU(v)
        else:
            v = STEP(v)
        store(y, i, v)


def values(which, x):
    padded = np.zeros(-(-len(x) // 64) * 64, x.dtype)
    padded[: len(x)] = x
    y = np.empty_like(padded)
    apply(which, padded, y)
    return y[: len(x)]


def sample32(stride):
    """Every stride-th bit pattern that is a finite float32."""
    bits = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    return x[np.isfinite(x)]


def sample64():
    rng = np.random.default_rng(0)
    tiny = 2.0 ** rng.uniform(-60, 0, 200_000) * rng.choice([-1, 1], 200_000)
    return np.concatenate([rng.uniform(-708, 709, 400_000), rng.uniform(-20, 20, 400_000), tiny])


def error_in_ulp(got, exact):
    """|got − exact| over the distance of floats at exact, where exact is normal and finite."""
    info = np.finfo(got.dtype)
    normal = (np.abs(exact) >= info.tiny) & (np.abs(exact) <= info.max)
    got, exact = got[normal], exact[normal]
    _, exponent = np.frexp(exact)
    ulp = np.ldexp(np.longdouble(1), exponent - info.nmant - 1)
    return np.abs(got.astype(np.longdouble) - exact) / ulp


@pytest.mark.parametrize(("which", "exact"), [(0, np.exp), (1, np.tanh)], ids=["exp", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error(which, exact, dtype):
    x = sample32(2003) if dtype == np.float32 else sample64()
    with np.errstate(over="ignore", under="ignore"):
        want = exact(x.astype(np.longdouble))
    error = error_in_ulp(values(which, x), want)
    assert error.max() <= LARGEST_ERROR
    assert error.max() > 0.4  # the check can see errors at all


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range(dtype):
    top = {np.float32: 88.8, np.float64: 709.9}[dtype]
    low = {np.float32: -87.4, np.float64: -708.5}[dtype]
    x = np.array([np.nan, np.inf, -np.inf, top, low, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(values(0, x), [np.nan, np.inf, 0, np.inf, 0, 1, 1])
    got = values(1, x)
    np.testing.assert_array_equal(got, [np.nan, 1, -1, 1, -1, 0, 0])
    assert np.signbit(got[-1])
    assert not np.signbit(got[-2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kinks(dtype):
    x = np.array([np.nan, np.inf, -np.inf, -2, 0, 3], dtype)
    np.testing.assert_array_equal(values(2, x), [np.nan, np.inf, 0, 0, 0, 3])
    np.testing.assert_array_equal(values(3, x), [np.nan, 1, 0, 0, 0, 1])


def test_a_larger_error_would_be_seen():
    x = np.linspace(-3, 3, 1000, dtype=np.float32)
    wrong = values(0, x) * np.float32(1 + 3e-7)
    assert error_in_ulp(wrong, np.exp(x.astype(np.longdouble))).max() > LARGEST_ERROR
