"""Adaptive truncation: what is measured, and that the bias stays below its stated bound."""

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients.adaptive import (
    Decay,
    bias_bounds,
    decay_rate,
    least_truncation,
    measure,
)
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import full
from rnnbench.gradients.truncation import truncated
from rnnbench.layers.recurrent import Recurrent
from rnnbench.params import random_case

T = 24
TARGET = get_target("plain")
CELLS = ["elman_tanh", "lstm", "gru", "cornn", "scrn"]
LENGTHS = {"whole": None, "ragged": np.array([24, 0, 9])}


def decaying_case(cell, T=T, B=3):
    """Weights of half the usual size: gradients die out within some ten steps."""
    case = random_case(cell, T=T, B=B, I=3, H=4, seed=2, ragged=False)
    for name, p in case.params.items():
        if p.ndim == 2:
            case.params[name] = p / 2
    return case


def measured(case, reach, lengths=None, steps=None):
    rest = case.state, lengths, case.inputs
    return measure(TARGET, case.cell, case.params, case.x, case.dy, reach, steps, *rest)


def parameters_gradient(schedule, case, lengths=None):
    """Flat, of the mean over steps of their losses."""
    rest = case.state, lengths, None, case.inputs
    found = run(schedule, TARGET, case.cell, case.params, case.x, case.dy, *rest)
    return np.concatenate([g.ravel() for g in found.params.values()]) / len(case.x)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("cell", CELLS)
def test_norms_are_those_of_the_reference(cell, lengths):
    """∂L_s/∂h_{s−k} as the gradient at the initial state of the steps after it."""
    case, reach, steps = decaying_case(cell), 6, [5, 8, 20]
    decay = measured(case, reach, lengths, steps)
    arguments = cell, case.params, case.x, case.state, lengths, case.inputs
    histories = reference.forward(*arguments).states
    inside = np.full(3, T) if lengths is None else lengths
    norms = np.zeros(reach)
    for s in steps:
        norms[0] += np.linalg.norm(case.dy[s] * (s < inside)[:, None], axis=1).sum()
        for k in range(1, reach):
            start = s - k + 1
            held = {name: history[start] for name, history in histories.items()}
            now = {name: values[start : s + 1] for name, values in case.inputs.items()}
            dy = np.zeros_like(case.dy[start : s + 1])
            dy[-1] = case.dy[s]
            found = reference.full(
                cell, case.params, case.x[start : s + 1], dy, held,
                np.clip(inside - start, 0, k), None, now,
            )  # fmt: skip
            norms[k] += np.linalg.norm(np.concatenate([*found.state.values()], 1), axis=1).sum()
    np.testing.assert_allclose(decay.norms, norms / len(steps), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("cell", CELLS)
def test_totals_are_the_norms_of_truncated_gradients(cell, lengths):
    """g_K over all steps is the gradient of windows (1, K)."""
    case = decaying_case(cell)
    decay = measured(case, T, lengths, range(T))
    for K in (1, 2, 5, T):
        gradient = parameters_gradient(truncated(T, 1, K), case, lengths)
        assert decay.totals[K - 1] == pytest.approx(np.linalg.norm(gradient), rel=1e-11)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_bias_is_below_its_bound(cell, start, lengths):
    """Measured to half the sequence's length, the bound holds for all of it."""
    case = decaying_case(cell)
    bounds = bias_bounds(measured(case, T // 2, lengths, range(T)), start)
    assert bounds.rate < 0.95
    whole = parameters_gradient(full(T), case, lengths)
    for K, (absolute, relative) in enumerate(zip(*bounds[:2], strict=True), start=1):
        bias = np.linalg.norm(parameters_gradient(truncated(T, 1, K), case, lengths) - whole)
        assert bias <= absolute * (1 + 1e-9)
        assert bias <= relative * np.linalg.norm(whole) * (1 + 1e-9)


def test_the_bound_is_no_looser_than_it_has_to_be():
    """One unit, almost linear, one loss: all inequalities are almost equalities. So the check
    above can fail: without the tail of the series (1 − β) the bias is above."""
    case = random_case("elman_tanh", T=60, B=1, I=1, H=1, seed=0, ragged=False)
    case.params["W"][:], case.params["R"][:], case.params["b"][:] = 0, 0.8, 1e-3
    case.x[:], case.state["h"][:], case.dy[:-1], case.dy[-1] = 0.5, 0.005, 0, 1
    decay = measured(case, 30, None, [59])
    bounds = bias_bounds(decay)
    assert bounds.rate == pytest.approx(0.8, rel=1e-3)
    whole = parameters_gradient(full(60), case) * 60
    for K in (3, 10, 20):
        bias = np.linalg.norm(parameters_gradient(truncated(60, 1, K), case) * 60 - whole)
        assert 0.9 * bounds.absolute[K - 1] < bias <= bounds.absolute[K - 1]
        assert bias > bounds.absolute[K - 1] * (1 - bounds.rate)


def test_the_bound_s_formula():
    """E(K) and the relative one by hand: β = 1/2 from lag 2 on, M = 3."""
    decay = Decay(np.array([1.0, 4.0, 2.0, 1.0, 0.5]), np.array([5.0, 9, 14, 15, 15.5]), 3.0)
    bounds = bias_bounds(decay, start=2)
    assert bounds.rate == pytest.approx(0.5, rel=1e-15)
    absolute = [3 * (4 + 4), 3 * 4, 3 * 2, 3 * 1, 3 * 0.5]
    np.testing.assert_allclose(bounds.absolute, absolute, rtol=1e-14)
    np.testing.assert_allclose(bounds.relative, np.array(absolute) / (15.5 - 1.5), rtol=1e-14)
    assert least_truncation(decay, 0.9, start=2) == 2
    assert least_truncation(decay, 0.2, start=2) == 5


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("cell", ["elman_tanh", "lstm", "gru"])
def test_the_chosen_truncation_is_the_smallest_within_the_tolerance(cell, tolerance):
    case = decaying_case(cell)
    decay = measured(case, T, None, range(T))
    K, relative = least_truncation(decay, tolerance), bias_bounds(decay).relative
    assert relative[K - 1] < tolerance and (relative[: K - 1] >= tolerance).all()
    whole = parameters_gradient(full(T), case)
    for k1 in (1, 3):  # every loss goes back K steps or more
        schedule = truncated(T, k1, K + k1 - 1)
        bias = np.linalg.norm(parameters_gradient(schedule, case) - whole)
        assert bias < tolerance * np.linalg.norm(whole)


def test_where_nothing_decays_nothing_is_promised():
    assert decay_rate(np.array([1.0, 0.5, 1.0])) == np.inf
    assert decay_rate(np.array([1.0])) == np.inf
    assert decay_rate(np.array([0.0, 0.0])) == 0 and decay_rate(np.array([0.0, 1.0])) == np.inf
    growing = Decay(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), 1.0)
    bounds = bias_bounds(growing)
    assert np.isinf(bounds.absolute).all() and np.isinf(bounds.relative).all()
    assert least_truncation(growing, 0.5) is None


def test_a_layer_decays_as_its_cell():
    case = decaying_case("lstm")
    rest = case.params, case.x, case.dy, 5, None, case.state, np.array([24, 3, 9])
    layer, cell = (measure(TARGET, one, *rest) for one in (Recurrent("lstm", 4), "lstm"))
    for got, want in zip(layer, cell, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reach": 0}, "reach is 0"),
        ({"reach": 25}, "reach is 25; x has T=24"),
        ({"steps": [24]}, r"steps: \[24\]; needs some of 0 to 23"),
        ({"steps": []}, "steps: none"),
        ({"steps": [-1]}, "step is -1"),
        ({"steps": 5}, "steps are 5; need some of 0 to 23"),
        ({"steps": "12"}, "steps are '12'"),
        ({"steps": [[1]]}, r"step is \[1\]"),
        ({"dy": np.zeros((24, 2, 4))}, "dy has shape"),
        ({"x": np.zeros((24, 3))}, "x has shape"),
    ],
)
def test_bad_measurements(change, message):
    case = decaying_case("gru")
    given = {"params": case.params, "x": case.x, "dy": case.dy, "reach": 4}
    with pytest.raises(InputError, match=message):
        measure(TARGET, "gru", **(given | change))


def test_bad_bounds():
    decay = Decay(np.ones(3), np.ones(3), 1.0)
    with pytest.raises(InputError, match=r"start is 3; .* lags 0 to 2"):
        bias_bounds(decay, start=3)
    with pytest.raises(InputError, match="tolerance is 0"):
        least_truncation(decay, 0)
    with pytest.raises(InputError, match="decay is None; needs what measure gives"):
        bias_bounds(None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_promises_nothing(bad):
    """A NaN is no gradient of 0, whose bias would be 0."""
    case = decaying_case("gru", T=6)
    case.dy[:] = bad
    decay = measured(case, 3)
    assert np.isnan(decay.slope) and not np.isfinite(decay.norms).any()
    bounds = bias_bounds(decay)
    assert np.isinf(bounds.absolute).all() and np.isinf(bounds.relative).all()
    assert least_truncation(decay, 0.5) is None


def test_nothing_runs_where_something_is_wrong(counting):
    case, target = decaying_case("gru"), counting(TARGET)
    for dy in (case.dy[:, :, :2], case.dy.astype(np.float32), None):
        with pytest.raises(InputError, match="dy"):
            measure(target, "gru", case.params, case.x, dy, 4)
    assert not target.forward_steps
