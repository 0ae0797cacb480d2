"""Correctly rounded results: the float64 nearest to the exact value, proved by ball arithmetic.

A ball [m ± r] of ``flint.arb`` encloses the exact value of what was computed (Johansson 2017,
"Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", IEEE Trans. Comput. 66).
Where both its ends round to the same float64, that is the rounding of the exact value, whatever
the machine and the order of the sums; where they differ, more bits decide.
"""

from collections.abc import Callable, Mapping

import flint
import numpy as np

BITS = 200
MOST_BITS = 1 << 14


def to_balls(array: np.ndarray) -> np.ndarray:
    """Float array -> object array of exact balls, same shape."""
    balls = np.empty(np.shape(array), object)
    balls[...] = np.frompyfunc(flint.arb, 1, 1)(np.asarray(array, np.float64))
    return balls


def nearest(ball: flint.arb) -> float | None:
    """The float64 that the whole ball rounds to; None where its ends round differently."""
    if not ball.is_finite():
        return None
    (m, e), (r, s) = (map(int, part.man_exp()) for part in (ball.mid(), ball.rad()))
    k = min(e, s)
    m, r = m << (e - k), r << (s - k)
    low, high = _round(m - r, k), _round(m + r, k)
    # + 0.0: a ball around zero too narrow for any other float64 gives 0.0, never -0.0
    return low + 0.0 if low == high else None


def _round(n: int, exponent: int) -> float:
    """n·2^exponent to nearest, ties to even: Python's true division of integers is exact so far."""
    return (n << exponent) / 1 if exponent >= 0 else n / (1 << -exponent)


def prove(
    compute: Callable[[], Mapping[str, np.ndarray]], bits: int = BITS
) -> tuple[dict[str, np.ndarray], int]:
    """Run ``compute`` (name -> array of balls) with ever more bits until every number is decided.

    Returns name -> float64 array, and the bits that were enough. ArithmeticError where 16384 bits
    do not decide (an exact tie that the computation does not reach exactly).
    """
    while bits <= MOST_BITS:
        with flint.ctx.workprec(bits):
            numbers = {name: np.frompyfunc(nearest, 1, 1)(a) for name, a in compute().items()}
        if not any(v is None for a in numbers.values() for v in np.ravel(a)):
            return {name: np.asarray(a, np.float64) for name, a in numbers.items()}, bits
        bits *= 2
    raise ArithmeticError(f"{MOST_BITS} bits do not decide how a result rounds")
