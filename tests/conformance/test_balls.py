"""Correct rounding by ball arithmetic."""

from fractions import Fraction

import flint
import numpy as np
import pytest

from rnnbench.conformance.balls import nearest, prove, to_balls

TIE = Fraction(1) + Fraction(1, 2**53)  # halfway between 1 and the next float64


def ball(middle: Fraction, radius: Fraction = Fraction(0)):
    with flint.ctx.workprec(4000):
        numbers = [flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in (middle, radius)]
        return flint.arb(numbers[0], numbers[1])


@pytest.mark.parametrize(
    "value", [0.0, 1.0, -0.1, 2.0**-1074, -(2.0**-1022), 1.7976931348623157e308, 3.0, 2.0**60]
)
def test_a_float_rounds_to_itself(value):
    got = nearest(to_balls(np.array([value]))[0])
    assert got == value and np.signbit(got) == np.signbit(value)


def test_rounds_to_nearest_with_ties_to_even():
    assert nearest(ball(TIE)) == 1.0
    assert nearest(ball(TIE + Fraction(1, 2**53) + Fraction(1, 2**52))) == 1.0 + 2.0**-51
    tiny = Fraction(1, 2**500)
    assert nearest(ball(TIE + tiny)) == 1.0 + 2.0**-52
    assert nearest(ball(TIE - tiny)) == 1.0
    assert nearest(ball(-TIE - tiny)) == -1.0 - 2.0**-52
    assert nearest(ball(Fraction(3, 2**1075))) == 2.0**-1073  # among the subnormals, to even


def test_a_ball_across_a_tie_is_undecided():
    assert nearest(ball(TIE, Fraction(1, 2**400))) is None
    assert nearest(ball(TIE + Fraction(1, 2**399), Fraction(1, 2**400))) == 1.0 + 2.0**-52
    assert nearest(flint.arb("nan")) is None
    assert nearest(ball(Fraction(1), Fraction(1, 2**54))) is None  # -ulp/4 below 1 rounds to even
    assert nearest(ball(Fraction(1), Fraction(1, 2**55))) == 1.0


def test_zero_is_positive():
    for value in (ball(Fraction(0)), ball(Fraction(0), Fraction(1, 2**2000))):
        assert nearest(value) == 0.0 and not np.signbit(nearest(value))


def test_precision_doubles_until_decided():
    tried = []

    def compute():
        tried.append(flint.ctx.prec)
        three = flint.arb(3)  # (1/3)·3 − 1 + 1 + tie is a tie up to the last bit of the precision
        return {"a": np.array([(three / 7) * 7 - 3 + ball(TIE) + ball(Fraction(1, 2**500))])}

    numbers, bits = prove(compute)
    assert tried == [200, 400, 800] and bits == 800
    assert numbers["a"][0] == 1.0 + 2.0**-52


def test_an_undecidable_number_is_an_error():
    with pytest.raises(ArithmeticError, match="do not decide"):
        prove(lambda: {"a": np.array([(flint.arb(3) / 7) * 7 - 3 + ball(TIE)])})


def test_known_constants():
    """tanh(1) and exp(1) to more digits than a float64 holds."""
    balls = to_balls(np.ones((2, 1)))
    numbers, _ = prove(lambda: {"tanh": np.tanh(balls), "exp": np.exp(balls)})
    assert numbers["tanh"].shape == (2, 1) and numbers["tanh"].dtype == np.float64
    assert (numbers["tanh"] == float("0.76159415595576488811945828260479359")).all()
    assert (numbers["exp"] == float("2.71828182845904523536028747135266250")).all()
