"""exp, sigmoid, tanh, log1p on vectors, without a branch; and choices.

All but log1p rest on exp(−x) = 2**n · (1 + u): n is the whole number nearest to −x / ln 2, u the
polynomial for exp(−r) − 1 at r = x + n·ln 2. Kept apart, 2**n and u lose little where 1 is added:

    sigmoid x = 1 / (2**n·u + 1 + 2**n)
    tanh |x|  = (1 − e) / (1 + e), e = exp(−2|x|), e ∓ 1 = 2**n·u + (2**n ∓ 1)    (float32)

log1p, and tanh in float64, are after S. L. Moshier's Cephes library (logf.c, log.c, tanh.c).
Largest error where the result is a normal number: 2 ulp, in float32 and in float64, with and
without fused multiply-adds. Smaller results may lose digits or flush to zero; NaN stays NaN; exp
overflows to inf.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from rnnbench.bind import bind
from rnnbench.cpu.jit import device
from rnnbench.cpu.polynomials import estrin, polynomial, quotient
from rnnbench.cpu.simd import (
    Vector,
    absolute,
    copy_sign,
    exponent,
    floor,
    multiply_add,
    power_of_two,
    splat,
    times_power_of_two,
    where_less,
    where_nan,
)
from rnnbench.equations import functions

LOG2_E, LN2 = 1.4426950408889634, 0.6931471805599453
# ln 2 in two parts, the first with so few bits that an exponent times it is exact
LN2_HIGH, LN2_LOW = 0.693359375, -2.121944400546905827679e-4
# Minimax, relative, for exp(−r) − 1 = −r + r²·polynomial(r), |r| ≤ ½ ln 2; highest power first.
EXP32 = (0.0013835531, -0.008367118, 0.041667756, -0.16666539, 0.49999997)
EXP64 = (
    -2.5045895568255304e-8,
    2.7622221173284147e-7,
    -2.755742509288386e-6,
    2.480151636121454e-5,
    -1.9841269709323106e-4,
    1.388888892049982e-3,
    -8.333333333388393e-3,
    4.166666666662e-2,
    -1.6666666666666602e-1,
    0.5,
)
TANH64_TOP = (-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3)
TANH64_BOTTOM = (1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3)
SMALL = 0.625
LOG32 = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
LOG64_TOP = (
    1.01875663804580931796e-4,
    4.97494994976747001425e-1,
    4.70579119878881725854e0,
    1.44989225341610930846e1,
    1.79368678507819816313e1,
    7.70838733755885391666e0,
)
LOG64_BOTTOM = (
    1.0,
    1.12873587189167450590e1,
    4.52279145837532221105e1,
    8.29875266912776603211e1,
    7.11544750618563894466e1,
    2.31251620126765340583e1,
)
LARGEST = {32: 3.4028234663852886e38, 64: 1.7976931348623157e308}


def less_one(coefficients):
    """exp(−r) − 1."""
    polynomial = estrin(coefficients)
    return device(lambda r: multiply_add(polynomial(r), r * r, -r))


@device
def limit(x, low, high):
    """x between low and high, or NaN: in this order, min and max instructions let it through."""
    x = where_less(high, x, high, x)
    return where_less(x, low, low, x)


@device
def remainder(n, x):
    """x + n·ln 2."""
    return multiply_add(n, splat(x, LN2_LOW), multiply_add(n, splat(x, LN2_HIGH), x))


def exponential(rounding, less_one, low, high):
    """exp. Beyond low and high the result is 0 or inf.

    rounding: so large a float that what is added to it is rounded to a whole number.
    """

    @device
    def exp(x):
        c, large = limit(x, splat(x, low), splat(x, high)), splat(x, rounding)
        n = multiply_add(c, splat(x, LOG2_E), large) - large
        u = less_one(remainder(n, -c))
        return times_power_of_two(splat(x, 1.0) + u, n)

    return exp


def logistic(shift, less_one, low, high, unit):
    """sigmoid. Beyond low and high the result is 0 or 1.

    Both sides of the quotient are multiplied by ``unit``, a power of two so small that 2**n·unit
    cannot overflow: where u < 0 the sum would be NaN. shift: ``rounding`` plus unit's exponent
    bits, so that the lowest bits of n + shift are the exponent of 2**n·unit.
    """

    @device
    def sigmoid(x):
        c, large, one = limit(x, splat(x, low), splat(x, high)), splat(x, shift), splat(x, unit)
        t = multiply_add(c, splat(x, -LOG2_E), large)
        u = less_one(remainder(t - large, c))
        power = power_of_two(t)
        return one / (multiply_add(power, u, one) + power)

    return sigmoid


def hyperbolic(exp, near_zero):
    """tanh |x|: |x| + |x|·near_zero(x²) near zero, else 1 − 2/(exp 2|x| + 1); then x's sign."""

    @device
    def tanh(x):
        size, one = absolute(x), splat(x, 1.0)
        small = multiply_add(size, near_zero(x * x), size)
        large = one - splat(x, 2.0) / (exp(size + size) + one)
        return copy_sign(where_less(size, splat(x, SMALL), small, large), x)

    return tanh


def logarithm(cubic, largest):
    """log(1 + x) = log u + (1 + x − u)/u, where u is 1 + x rounded; u = 2**n · (1 + f).

    cubic: (log(1 + f) − f + f²/2) / f³.
    """
    infinity, nan = math.inf, math.nan

    @device
    def log1p(x):
        one = splat(x, 1.0)
        u = one + x
        of_x = u - one
        lost = (one - (u - of_x)) + (x - of_x)  # exact (Knuth's sum of two numbers)
        n = exponent(u)
        f = times_power_of_two(u, -n) - one
        square = f * f
        y = multiply_add(f * square, cubic(f), multiply_add(n, splat(x, LN2_LOW), lost / u))
        y = multiply_add(square, splat(x, -0.5), y) + f
        y = multiply_add(n, splat(x, LN2_HIGH), y)
        y = where_less(splat(x, largest), x, x, y)  # inf
        lowest = where_less(x, -one, splat(x, nan), splat(x, -infinity))
        y = where_less(-one, x, y, lowest)
        return where_nan(x, x, y)

    return log1p


ROUNDING32, ROUNDING64, BIAS32, BIAS64 = 1.5 * 2.0**23, 1.5 * 2.0**52, 127, 1023
less_one32, less_one64 = less_one(EXP32), less_one(EXP64)
exp32 = exponential(ROUNDING32, less_one32, -104.0, 89.0)
exp64 = exponential(ROUNDING64, less_one64, -746.0, 710.0)
sigmoid32 = logistic(ROUNDING32 + BIAS32 - 30, less_one32, -105.0, 30.0, 2.0**-30)
sigmoid64 = logistic(ROUNDING64 + BIAS64 - 60, less_one64, -747.0, 50.0, 2.0**-60)


@device
def tanh32(x):
    """One path, one division: faster than ``hyperbolic`` would be, and less exact."""
    size, most, large = absolute(x), splat(x, 15.0), splat(x, ROUNDING32 + BIAS32)
    size = where_less(most, size, most, size)
    t = multiply_add(size, splat(x, -2.0 * LOG2_E), large)
    # ln 2 in one part: the larger n is, the less r counts.
    u = less_one32(multiply_add(t - large, splat(x, LN2), size + size))
    power, one = power_of_two(t), splat(x, 1.0)
    above, below = multiply_add(power, u, power - one), multiply_add(power, u, power + one)
    return copy_sign(above / below, x)


_odd64 = quotient(TANH64_TOP, TANH64_BOTTOM)
tanh64 = hyperbolic(exp64, device(lambda z: z * _odd64(z)))
log32 = logarithm(polynomial(LOG32), LARGEST[32])
log64 = logarithm(quotient(LOG64_TOP, LOG64_BOTTOM), LARGEST[64])


@device
def where_above_vector(x, y, a, b):
    """a where x > y, b where x ≤ y; NaN, of which no comparison holds, stays."""
    return where_nan(x, x, where_nan(y, y, where_less(y, x, a, b)))


def by_type(name: str, scalar, vector32, vector64):
    """A function of one number, whichever kind it is."""

    def stub(x):
        raise NotImplementedError

    @overload(stub)
    def choose(x):
        if isinstance(x, Vector):
            chosen = vector32 if x.element == types.float32 else vector64
            return lambda x: chosen(x)
        return lambda x: scalar(x)

    stub.__qualname__ = name  # part of the compiled function's name
    return device(lambda x: stub(x))


def typed(x, v):
    """v in x's type."""
    raise NotImplementedError


@overload(typed)
def _typed(x, v):
    if isinstance(x, Vector):
        return lambda x, v: splat(x, v)
    number = x
    return lambda x, v: number(v)


where_above_number = bind(functions.where_above, device, {})  # compiled from a copy


def chosen(x, y, a, b):
    """a where x > y, b where x ≤ y."""
    raise NotImplementedError


@overload(chosen)
def _chosen(x, y, a, b):
    either = where_above_vector if isinstance(x, Vector) else where_above_number
    return lambda x, y, a, b: either(x, y, a, b)


exp = by_type("exp", device(lambda x: math.exp(x)), exp32, exp64)
const = device(lambda x, v: typed(x, v))
sigmoid_number = bind(functions.sigmoid, device, {functions.const: const, functions.exp: exp})

STUBS = {
    functions.const: const,
    functions.exp: exp,
    functions.sigmoid: by_type("sigmoid", sigmoid_number, sigmoid32, sigmoid64),
    functions.tanh: by_type("tanh", device(lambda x: math.tanh(x)), tanh32, tanh64),
    functions.log1p: by_type("log1p", device(lambda x: math.log1p(x)), log32, log64),
    functions.absolute: by_type("absolute", device(lambda x: math.fabs(x)), absolute, absolute),
    functions.floor: by_type("floor", device(lambda x: np.floor(x)), floor, floor),
    functions.where_above: device(lambda x, y, a, b: chosen(x, y, a, b)),
}
