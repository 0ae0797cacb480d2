"""Jacobians by the complex step: against each cell's own backward, and worked by hand."""

import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench_reference.flow import products, state_gradients, step_jacobian, step_jacobians

LENGTHS = (5, 5)


def widths_of(case):
    return {name: value.shape[1] for name, value in case.state.items()}


def jacobians_of(case):
    return step_jacobians(case.cell, case.params, case.x, case.state, case.inputs)


@pytest.mark.parametrize("cell", ref.cell_names())
def test_rows_are_what_step_backward_gives(cell, random_case):
    """Two derivations: no derivative formula in one, no complex number in the other."""
    case = random_case(cell, lengths=LENGTHS)
    now = {name: values[0] for name, values in case.inputs.items()}
    jacobian = step_jacobian(case.cell, case.params, case.x[0], case.state, now)
    _, cache = case.cell.step(case.params, case.x[0], case.state, **now)
    row = 0
    for name, width in widths_of(case).items():
        for i in range(width):
            unit = {k: np.zeros_like(v) for k, v in case.state.items()}
            unit[name][:, i] = 1
            _, _, before = case.cell.step_backward(case.params, cache, unit)
            want = np.concatenate([before[k] for k in case.state], axis=1)
            np.testing.assert_allclose(jacobian[:, row], want, rtol=1e-11, atol=1e-13)
            row += 1


@pytest.mark.parametrize("cell", ref.cell_names())
def test_products_are_gradients_of_the_final_output(cell, random_case):
    """u · ∂h_T/∂s_0 = the gradient that full backpropagation gives for dstate u."""
    case = random_case(cell, lengths=LENGTHS)
    widths = widths_of(case)
    found = products(case.cell, jacobians_of(case), widths)
    run = ref.forward(case.cell, case.params, case.x, case.state, None, case.inputs)
    u = case.dstate[case.cell.output]
    want = ref.backward(run.tape, None, {case.cell.output: u}).state
    want = np.concatenate([want[k] for k in case.state], axis=1)
    np.testing.assert_allclose(np.einsum("bh,bhs->bs", u, found[-1]), want, rtol=1e-10, atol=1e-12)
    gradients = state_gradients(case.cell, jacobians_of(case), case.dy, widths)
    want = ref.backward(run.tape, case.dy).state
    want = np.concatenate([want[k] for k in case.state], axis=1)
    np.testing.assert_allclose(gradients[0], want, rtol=1e-10, atol=1e-12)


def test_elman_by_hand(random_case):
    """J = diag(1 - h'^2) R; the product for the lag 2 is J_{T-1} J_{T-2}."""
    case = random_case("elman_tanh", lengths=LENGTHS)
    run = ref.forward(case.cell, case.params, case.x, case.state)
    slope = 1 - run.states["h"][1:] ** 2
    jacobians = [slope[t][:, :, None] * case.params["R"] for t in range(5)]
    for got, want in zip(jacobians_of(case), jacobians, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    found = products(case.cell, jacobians_of(case), widths_of(case))
    np.testing.assert_array_equal(found[0], np.broadcast_to(np.eye(7), (2, 7, 7)))
    np.testing.assert_allclose(found[2], jacobians[4] @ jacobians[3], rtol=1e-12, atol=1e-14)
    assert not np.allclose(found[2], jacobians[3] @ jacobians[4], rtol=1e-3)


def test_only_float64(random_case):
    case = random_case("gru", lengths=LENGTHS, dtype=np.float32)
    with pytest.raises(ValueError, match="dtype float32, expected float64"):
        jacobians_of(case)
