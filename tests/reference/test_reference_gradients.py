"""The reference's gradients against the complex step and against finite differences."""

import numpy as np
import pytest
from scipy.differentiate import derivative

import rnnbench_reference as ref

STEP = 1e-30  # no subtraction in a complex step, so no need for a careful one
LENGTHS = [(3, 1, 5), (5, 5, 5), (0, 2, 5)]


def loss(case, params, x, state):
    """Weighted sum of all outputs and final states: its gradient is what backward computes."""
    run = ref.forward(case.cell, params, x, state, case.lengths)
    final = sum((case.dstate[k] * h[-1]).sum() for k, h in run.states.items())
    return (case.dy * run.y).sum() + final


def inputs(case):
    """Every input array that a loss has a gradient for, by name."""
    return case.params | {"x": case.x} | {f"state {k}": v for k, v in case.state.items()}


def loss_of(case, arrays):
    state = {k: arrays[f"state {k}"] for k in case.state}
    return loss(case, {k: arrays[k] for k in case.params}, arrays["x"], state)


def analytic(case):
    run = ref.forward(case.cell, case.params, case.x, case.state, case.lengths)
    grads = ref.backward(run.tape, case.dy, case.dstate)
    return grads.params | {"x": grads.x} | {f"state {k}": v for k, v in grads.state.items()}


def complex_step(case, name):
    """The loss's gradient with respect to one input, element by element, exact to rounding."""
    arrays = {k: v.astype(complex) for k, v in inputs(case).items()}
    gradient = np.empty(arrays[name].shape)
    for index in np.ndindex(gradient.shape):
        arrays[name][index] += 1j * STEP
        gradient[index] = loss_of(case, arrays).imag / STEP
        arrays[name][index] = arrays[name][index].real
    return gradient


def assert_equal_to_rounding(got, want, name):
    scale = np.abs(want).max()
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13 * scale, err_msg=name)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("cell", ref.cell_names())
def test_complex_step(cell, lengths, random_case):
    case = random_case(cell, lengths=lengths)
    got = analytic(case)
    assert set(got) == set(inputs(case))
    for name, gradient in got.items():
        assert_equal_to_rounding(gradient, complex_step(case, name), name)


@pytest.mark.parametrize("cell", ref.cell_names())
def test_finite_differences(cell, random_case):
    """One random direction through all inputs at once checks the whole Jacobian."""
    case = random_case(cell, seed=1)
    rng = np.random.default_rng(2)
    arrays = inputs(case)
    direction = {k: rng.standard_normal(v.shape) for k, v in arrays.items()}

    @np.vectorize
    def along(s):
        return loss_of(case, {k: v + s * direction[k] for k, v in arrays.items()})

    # the small step keeps a relu on its side of the kink
    numeric = derivative(along, 0.0, initial_step=1e-4).df
    got = sum((g * direction[k]).sum() for k, g in analytic(case).items())
    assert got == pytest.approx(numeric, rel=1e-8)


@pytest.mark.parametrize("name", ["W", "R", "b", "x", "state h"])
def test_a_gradient_wrong_by_a_thousandth_fails(name, random_case):
    case = random_case("lstm")
    wrong = analytic(case)[name] * 1.001
    with pytest.raises(AssertionError):
        assert_equal_to_rounding(wrong, complex_step(case, name), name)


def test_one_wrong_element_fails(random_case):
    case = random_case("gru")
    wrong = analytic(case)["R"].copy()
    wrong[3, 2] *= 1.001
    with pytest.raises(AssertionError):
        assert_equal_to_rounding(wrong, complex_step(case, "R"), "R")


def test_relu_has_slope_zero_at_zero_and_keeps_nan():
    params = {"W": np.ones((3, 1)), "R": np.zeros((3, 3)), "b": np.array([0.0, 2.0, np.nan])}
    run = ref.forward("elman_relu", params, np.zeros((1, 1, 1)))
    np.testing.assert_array_equal(run.y, [[[0.0, 2.0, np.nan]]])
    grads = ref.backward(run.tape, np.ones((1, 1, 3)))
    np.testing.assert_array_equal(grads.params["b"], [0.0, 1.0, np.nan])


def test_gradients_through_y_and_final_state_superpose(random_case):
    case = random_case("lstm_peephole")
    tape = ref.forward(case.cell, case.params, case.x, case.state, case.lengths).tape
    both = ref.backward(tape, case.dy, case.dstate)
    one, other = ref.backward(tape, case.dy), ref.backward(tape, dstate=case.dstate)
    for name in both.params:
        np.testing.assert_allclose(
            both.params[name], one.params[name] + other.params[name], rtol=1e-12, atol=1e-13
        )
    np.testing.assert_allclose(both.x, one.x + other.x, rtol=1e-12, atol=1e-13)
