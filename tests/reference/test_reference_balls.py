"""Float results against rigorous enclosures at the float's own precision.

A ball computation at 53 bits rounds as often and as coarsely as float64 does, so that its radius
is a bound that knows this very case: how many steps, how much cancellation. Four radii leave room
for NumPy's tanh, exp and matrix products, which may round a little worse than correctly.
"""

import flint
import numpy as np
import pytest

import rnnbench_reference as ref

TYPES = {"float64": 53, "float32": 24}


def assert_inside(floats, balls, name):
    error = np.array(
        [abs(flint.arb(float(f)) - b.mid()) for f, b in zip(floats.flat, balls.flat, strict=True)]
    )
    allowed = np.array([4 * b.rad() for b in balls.flat])
    outside = ~(error <= allowed)
    assert not outside.any(), f"{name}: {outside.sum()} of {outside.size} outside"


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("cell", ref.cell_names())
def test_floats_lie_within_four_radii(cell, dtype, random_case, run_case, map_case, to_balls):
    case = random_case(cell, seed=3, dtype=dtype, lengths=(3, 1, 5, 0))
    floats = run_case(case)
    with flint.ctx.workprec(TYPES[dtype]):
        balls = run_case(map_case(case, to_balls))
    assert set(floats) == set(balls)
    for name in floats:
        assert floats[name].dtype == dtype
        assert_inside(floats[name], balls[name], name)


def test_an_error_in_the_thirteenth_digit_falls_outside(random_case, run_case, map_case, to_balls):
    case = random_case("lstm", seed=3)
    y = run_case(case)["y"][0]
    balls = run_case(map_case(case, to_balls))["y"][0]
    assert_inside(y, balls, "y")
    with pytest.raises(AssertionError):
        assert_inside(y * (1 + 1e-13), balls, "y")


def test_high_precision_balls_are_narrow(random_case, run_case, map_case, to_balls):
    with flint.ctx.workprec(200):
        balls = run_case(map_case(random_case("lstm"), to_balls))
    assert max(b.rad() for array in balls.values() for b in array.flat) < 1e-50


def test_relu_of_a_ball_across_zero(to_balls):
    one, zero = np.array([[1.0]]), np.array([[0.0]])
    params = {"W": to_balls(one), "R": to_balls(zero), "b": to_balls(zero[0])}
    x = np.array([[[flint.arb(0.5, 1)]]], dtype=object)
    run = ref.forward("elman_relu", params, x)
    slope = ref.backward(run.tape, to_balls(np.ones((1, 1, 1)))).params["b"][0]
    assert run.y[0, 0, 0].contains(0) and run.y[0, 0, 0].contains(1.5)
    assert slope.contains(0) and slope.contains(1)
