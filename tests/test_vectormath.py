"""exp, sigmoid, tanh and log1p on vectors: error in units in the last place, on every float32 and
on a sample of float64, and the ends of the range; what only chooses or rounds down is exact."""

import functools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnbench.cpu.functions import equation
from rnnbench.cpu.jit import host, python_entry
from rnnbench.cpu.simd import lanes_of, load, store
from rnnbench.equations.functions import (
    absolute,
    clip,
    const,
    exp,
    floor,
    inside,
    log1p,
    maximum,
    relu,
    select,
    sigmoid,
    step,
    tanh,
)

LARGEST_ERROR = 2.0  # ulp, as the module says
ALL_FLOATS, CHUNK = 2**32, 2**16
LOW, HIGH = -0.75, 1.5
SPECIAL = [np.nan, np.inf, -np.inf, -2, LOW, -0.0, 0.0, 0.5, HIGH, 3]


@functools.cache
def loop(function):
    """y = function(x), a vector at a time."""
    maths = equation(function)

    @python_entry
    def run(x, y):
        for i in range(0, len(x), lanes_of(x)):
            store(y, i, maths(load(x, i)))

    return run


def values(function, x):
    padded = np.zeros(-(-len(x) // 64) * 64, x.dtype)
    padded[: len(x)] = x
    y = np.empty_like(padded)
    loop(function)(padded, y)
    return y[: len(x)]


def sample32(stride):
    """Every stride-th bit pattern that is a finite float32."""
    bits = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    return x[np.isfinite(x)]


def sample64():
    rng = np.random.default_rng(0)
    powers = 2.0 ** rng.uniform(-60, 60, 200_000) * rng.choice([-1, 1], 200_000)
    return np.concatenate([rng.uniform(-708, 709, 400_000), rng.uniform(-20, 20, 400_000), powers])


def error_in_ulp(got, exact):
    """|got − exact| over the distance of floats at exact, where exact is normal and finite."""
    info = np.finfo(got.dtype)
    normal = (np.abs(exact) >= info.tiny) & (np.abs(exact) <= info.max)
    got, exact = got[normal], exact[normal]
    _, exponent = np.frexp(exact)
    ulp = np.ldexp(np.longdouble(1), exponent - info.nmant - 1)
    return np.abs(got.astype(np.longdouble) - exact) / ulp


# A stub itself is what a target replaces; equations call it.
def vector_exp(x):
    return exp(x)


def vector_sigmoid(x):
    return sigmoid(x)


def vector_tanh(x):
    return tanh(x)


def vector_log1p(x):
    return log1p(x)


EXACT = {
    vector_exp: np.exp,
    vector_sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    vector_tanh: np.tanh,
    vector_log1p: np.log1p,
}
# The largest error over all float32 and a sample of float64, rounded up, with fused multiply-adds
# or without: closer than what the module says, so that a coefficient's last digits tell.
WORST = {
    vector_exp: {np.float32: 1.05, np.float64: 1.1},
    vector_sigmoid: {np.float32: LARGEST_ERROR, np.float64: LARGEST_ERROR},
    vector_tanh: {np.float32: 1.97, np.float64: 1.35},
    vector_log1p: {np.float32: LARGEST_ERROR, np.float64: LARGEST_ERROR},
}


def check_error(function, dtype):
    x = sample32(2003) if dtype == np.float32 else sample64()
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        want = EXACT[function](x.astype(np.longdouble))
    error = error_in_ulp(values(function, x), want)
    assert error.max() <= WORST[function][dtype], (function.__name__, dtype, error.max())
    assert error.max() > 0.4  # the check can see errors at all


@pytest.mark.parametrize("function", EXACT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error(function, dtype):
    check_error(function, dtype)


def scan(function):
    """worst(first, stop): the largest error in ulp over the float32 whose bits are in a range.

    Measured against the function's float64 version. Below the smallest normal number an ulp is
    that number, so that both a flush to zero and a subnormal number pass.
    """
    maths, info = equation(function), np.finfo(np.float32)
    smallest, largest, epsilon = float(info.tiny), float(info.max), float(info.eps)
    exponent = np.uint64(0x7FF << 52)

    @python_entry
    def worst(first, stop):
        bits, got = np.empty(CHUNK, np.uint32), np.empty(CHUNK, np.float32)
        x64, want, binade = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
        x32, found = bits.view(np.float32), 0.0
        for at in range(first, stop, CHUNK):
            bits[:] = np.arange(at, at + CHUNK)
            x64[:] = x32
            for i in range(0, CHUNK, lanes_of(x32)):
                store(got, i, maths(load(x32, i)))
            for i in range(0, CHUNK, lanes_of(x64)):
                store(want, i, maths(load(x64, i)))
            binade.view(np.uint64)[:] = want.view(np.uint64) & exponent
            for i in range(CHUNK):
                ulp = smallest if abs(want[i]) < smallest else binade[i] * epsilon
                error = abs(got[i] - want[i]) / ulp
                infinite = want[i] > largest and got[i] == np.inf
                if infinite or (np.isnan(x32[i]) and np.isnan(got[i])):
                    error = 0.0
                found = found if error <= found else error
                if np.isnan(error):
                    return np.inf
        return found

    return worst


@pytest.mark.slow
@pytest.mark.parametrize("function", [vector_exp, vector_sigmoid, vector_tanh])
def test_error_on_every_float32(function):
    worst, threads = scan(function), min(os.cpu_count(), 4)
    worst(0, CHUNK)  # compile in one thread
    parts = range(0, ALL_FLOATS, ALL_FLOATS // 64)
    with ThreadPoolExecutor(threads) as pool:
        error = max(pool.map(lambda first: worst(first, first + parts.step), parts))
    assert 0.9 < error <= WORST[function][np.float32]


CHILD = """
import runpy, sys
import numpy as np
from rnnbench.cpu.jit import vector_bytes
assert vector_bytes() == int(sys.argv[2])
tests = runpy.run_path(sys.argv[1])
for function in tests["EXACT"]:
    for dtype in (np.float32, np.float64):
        tests["check_error"](function, dtype)
        tests["test_ends_of_the_range"](dtype)
"""
PROCESSORS = {"haswell": ("avx,avx2,fma", 32), "nehalem": ("sse4.2", 16)}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_error_on_lesser_processors(processor):
    needed, width = PROCESSORS[processor]
    features = [f"+{name}" for name in needed.split(",")]
    if not {*features} <= {*host()[2].split(",")}:
        pytest.skip(f"this processor is no {processor}")
    chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ",".join(features)}
    command = [sys.executable, "-c", CHILD, __file__, str(width)]
    child = subprocess.run(command, env=os.environ | chosen, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range(dtype):
    top, low = {np.float32: (88.8, -104.1), np.float64: (709.9, -745.2)}[dtype]
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, top, low, 0.0, -0.0], dtype)
    nan = x[0]
    x[1:2].view(f"u{x.itemsize}")[:] |= 1  # a NaN may carry any bits
    got = values(vector_exp, x)
    np.testing.assert_array_equal(got, [nan, nan, np.inf, 0, np.inf, 0, 1, 1])
    got = values(vector_sigmoid, x)
    np.testing.assert_array_equal(got, [nan, nan, 1, 0, 1, 0, 0.5, 0.5])
    got = values(vector_tanh, x)
    np.testing.assert_array_equal(got, [nan, nan, 1, -1, 1, -1, 0, 0])
    assert np.signbit(got[-1])
    assert not np.signbit(got[-2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_nearer_by(dtype):
    """Just within the range of exp: its largest and smallest normal results."""
    info = np.finfo(dtype)
    x = np.log(np.array([info.max, info.tiny], np.longdouble)).astype(dtype)
    x[0] = np.nextafter(x[0], 0, dtype=dtype)
    with np.errstate(over="ignore"):
        want = np.exp(x.astype(np.longdouble))
    assert error_in_ulp(values(vector_exp, x), want).max() <= LARGEST_ERROR


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_odd(dtype):
    x = sample32(2003).astype(dtype)
    np.testing.assert_array_equal(values(vector_tanh, -x), -values(vector_tanh, x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_log1p(dtype):
    info = np.finfo(dtype)
    x = np.array([np.nan, np.inf, -np.inf, -2, -1, 0, info.max, info.tiny, -info.tiny], dtype)
    want = np.array([np.nan, np.inf, np.nan, np.nan, -np.inf, 0, 0, info.tiny, -info.tiny], dtype)
    want[6] = np.log(info.max)
    np.testing.assert_allclose(values(vector_log1p, x), want, rtol=info.eps)


def chosen(x):
    """log1p |x|; the side that is not chosen is NaN for |x| > 1."""
    return select(x, log1p(x), log1p(-x))


def selected(x):
    return select(x, const(x, 2.0), const(x, -3.0))


def clipped(x):
    return clip(x, const(x, LOW), const(x, HIGH))


def clip_slope(x):
    return inside(x, const(x, LOW), const(x, HIGH))


def above_low(x):
    return maximum(x, const(x, LOW))


def above_low_too(x):
    return maximum(const(x, LOW), x)


def down(x):
    return floor(x)


def size(x):
    return absolute(x)


CHOICES = {
    relu: lambda x: np.maximum(x, 0),
    step: lambda x: np.where(np.isnan(x), x, x > 0),
    selected: lambda x: np.where(np.isnan(x), x, np.where(x > 0, 2, -3)),
    clipped: lambda x: np.clip(x, LOW, HIGH),
    clip_slope: lambda x: np.where(np.isnan(x), x, (x > LOW) & (x < HIGH)),
    above_low: lambda x: np.maximum(x, LOW),
    above_low_too: lambda x: np.maximum(x, LOW),
    down: np.floor,
    size: np.abs,
}


@pytest.mark.parametrize("function", CHOICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_choices_are_exact(function, dtype):
    x = np.concatenate([np.array(SPECIAL, dtype), sample32(2003).astype(dtype)])
    np.testing.assert_array_equal(values(function, x), CHOICES[function](x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_other_side_does_not_leak(dtype):
    x = np.array([5, -5, 0.5, -0.5, np.inf, -np.inf], dtype)
    np.testing.assert_allclose(values(chosen, x), np.log1p(np.abs(x)), rtol=1e-6)


def test_a_larger_error_would_be_seen():
    x = np.linspace(-3, 3, 1000, dtype=np.float32)
    wrong = values(vector_exp, x) * np.float32(1 + 3e-7)
    assert error_in_ulp(wrong, np.exp(x.astype(np.longdouble))).max() > LARGEST_ERROR
