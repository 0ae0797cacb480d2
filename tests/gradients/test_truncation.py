"""Truncated backpropagation: windows that overlap, factors at edges, cuts drawn at random."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import (
    Backward,
    Cost,
    Forward,
    chunked,
    cost,
    full,
)
from rnnbench.gradients.truncation import (
    artbp,
    every_truncation,
    random_truncation,
    truncated,
    weighted,
)
from rnnbench.params import random_case
from rnnbench_reference import truncation as reference

T = 7
LENGTHS = {"whole": None, "ragged": np.array([5, 7, 0, 3])}
# Schedules know no cell: one for each feature that a driver has code for, without a compiler; and
# two on compiled kernels.
CELLS = [("plain", cell) for cell in (*representatives(), "gru")]
CELLS += [("cpu", "lstm"), ("cpu", "gru"), ("reference", "lstm")]
EVERY_CELL = pytest.mark.parametrize(("target", "cell"), CELLS)
FEW_CELLS = pytest.mark.parametrize("cell", ["lstm", "gru", "cornn"])
WINDOWS = [(1, 1), (1, 3), (2, 3), (2, 5), (3, 3), (3, 7), (4, 9), (7, 7)]


@pytest.fixture(params=LENGTHS)
def lengths(request):
    return LENGTHS[request.param]


def sequence_case(cell, T=T, seed=0):
    return random_case(cell, T=T, B=4, I=3, H=5, seed=seed, ragged=False)


def gradients_of(found):
    named = {f"params {k}": v for k, v in found.params.items()} | {"x": found.x}
    return named | {f"state {k}": v for k, v in found.state.items()}


def run_case(schedule, target, case, lengths=None, dy=None, **more):
    arguments = case.params, case.x, case.dy if dy is None else dy, case.state, lengths
    target = get_target(target) if isinstance(target, str) else target
    return run(schedule, target, case.cell, *arguments, case.dstate, case.inputs, **more)


def run_reference(algorithm, case, lengths, *how):
    arguments = case.cell, case.params, case.x, case.dy, *how, case.state, lengths
    return algorithm(*arguments, case.dstate, case.inputs)


def assert_same(got, want, rtol=1e-12):
    """rtol: sums of some tens of terms of order one, in another order."""
    got, want = gradients_of(got), gradients_of(want)
    assert got.keys() == want.keys()
    for name in want:
        atol = rtol * max(np.abs(want[name]).max(), 1)
        np.testing.assert_allclose(got[name], want[name], rtol=rtol, atol=atol, err_msg=name)


# -- k1, k2 --------------------------------------------------------------------------------------


def test_the_order_of_overlapping_windows():
    """[0, 2), then [1, 4) for the losses of 2 and 3, then [3, 5) for that of 4."""
    assert truncated(5, 2, 3) == [
        Forward(0, 1),
        Forward(1, 2),
        Backward(1, 2, carry=False),
        Backward(0, 1, carry=True),
        Forward(2, 3),
        Forward(3, 4),
        Backward(3, 4, carry=False),
        Backward(2, 3, carry=True),
        Backward(1, 2, carry=True, loss=False),
        Forward(4, 5),
        Backward(4, 5, carry=False),
        Backward(3, 4, carry=True, loss=False),
    ]


@pytest.mark.parametrize("length", [1, 2, 7, 12])
@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_equal_ks_are_chunks(length, k):
    assert truncated(length, k, k) == chunked(length, k)


@pytest.mark.parametrize(("k1", "k2"), [(7, 7), (7, 8), (9, 9), (100, 100)])
def test_one_window_is_full(k1, k2):
    assert truncated(7, k1, k2) == full(7)


@pytest.mark.parametrize("length", [1, 2, 5, 12, 13])
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (2, 3), (2, 7), (3, 4), (5, 5), (4, 20)])
def test_windows_cost_what_they_span(length, k1, k2):
    spans = [(max(end - k2, 0), min(end, length)) for end in range(k1, length + k1, k1)]
    spans = [stop - start for start, stop in spans]
    want = Cost(length, 0, backward=sum(spans), states=0, taped=max(spans))
    assert cost(truncated(length, k1, k2)) == want
    assert want.taped <= k2 and want.backward <= -(-length // k1) * k2


@EVERY_CELL
@pytest.mark.parametrize(("k1", "k2"), WINDOWS)
def test_truncated_equals_the_reference(target, cell, k1, k2, lengths):
    case = sequence_case(cell)
    want = run_reference(reference.truncated, case, lengths, k1, k2)
    assert_same(run_case(truncated(T, k1, k2), target, case, lengths), want)


@FEW_CELLS
@pytest.mark.parametrize("k2", [1, 2, 4])
def test_windows_of_one_loss_are_its_gradients_with_the_state_k2_steps_back_held(cell, k2):
    """(1, k2): the sum over t of the gradient of loss t, h_{t-k2} taken as a constant."""
    case, target, lengths = sequence_case(cell), get_target("plain"), LENGTHS["ragged"]
    arguments = case.cell, case.params, case.x, case.state, lengths, case.inputs
    histories = target.forward(*arguments).states
    total, dx = {name: 0 for name in case.params}, np.zeros_like(case.x)
    for t in range(T):
        start = max(t + 1 - k2, 0)
        window = slice(start, t + 1)
        held = {name: history[start] for name, history in histories.items()}
        now = {name: values[window] for name, values in case.inputs.items()}
        inside = np.clip(lengths - start, 0, t + 1 - start)
        tape = target.forward(cell, case.params, case.x[window], held, inside, now).tape
        dy = np.zeros_like(case.dy[window])
        dy[-1] = case.dy[t]
        found = target.backward(tape, dy, case.dstate if t == T - 1 else None)
        total = {name: total[name] + g for name, g in found.params.items()}
        dx[window] += found.x
    got = run_case(truncated(T, 1, k2), target, case, lengths)
    for name, g in total.items():
        np.testing.assert_allclose(got.params[name], g, rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(got.x, dx, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("target", ["plain", "cpu"])
@pytest.mark.parametrize(("k1", "k2"), [(1, 3), (2, 3), (2, 5), (3, 3)])
@pytest.mark.parametrize("t", [1, 4, 6])
def test_a_loss_reaches_its_window_and_exactly_nothing_else(target, k1, k2, t):
    case = sequence_case("lstm")
    dy = np.zeros_like(case.dy)
    dy[t] = case.dy[t]
    case.dstate.clear()
    found = run_case(truncated(T, k1, k2), target, case, None, dy)
    start = max((t // k1 + 1) * k1 - k2, 0)
    assert found.x[start : t + 1].all()
    assert not found.x[:start].any() and not found.x[t + 1 :].any()
    assert all(g.all() if start == 0 else not g.any() for g in found.state.values())


@pytest.mark.parametrize(("k1", "k2"), [(1, 3), (2, 3), (2, 5)])
def test_losses_superpose(k1, k2):
    """The gradient of the sum of the losses is the sum of the gradients of each."""
    case, lengths, schedule = sequence_case("gru"), LENGTHS["ragged"], truncated(T, k1, k2)
    losses = np.zeros((T + 1, *case.dy.shape))
    losses[range(T), range(T)] = case.dy
    parts = []
    for t, dy in enumerate(losses):  # the last one: that of the final state
        one = replace(case, dy=dy, dstate=case.dstate if t == T else {})
        parts.append(gradients_of(run_case(schedule, "plain", one, lengths)))
    got = gradients_of(run_case(schedule, "plain", case, lengths))
    for name, g in got.items():
        want = sum(part[name] for part in parts)
        np.testing.assert_allclose(g, want, rtol=1e-12, atol=1e-13, err_msg=name)


def test_a_longer_window_is_another_gradient():
    """The checks above can fail: one step more or less in a window, or a loss counted twice."""
    case = sequence_case("gru")
    found = {k2: run_case(truncated(T, 2, k2), "plain", case).params["R"] for k2 in (3, 4, 5)}
    for a, b in itertools.combinations(found.values(), 2):
        assert not np.allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize(
    ("ks", "message"),
    [
        ((5, 3, 2), "k2 is 2; needs at least k1=3"),
        ((5, 0, 2), "k1 is 0"),
        ((5, 1, 2.0), r"k2 is 2\.0"),
        ((0, 1, 2), "T is 0"),
    ],
)
def test_bad_windows(ks, message):
    with pytest.raises(InputError, match=message):
        truncated(*ks)


# -- factors at edges ----------------------------------------------------------------------------


def test_the_order_between_cuts():
    assert weighted(5, {1: 2.0, 3: 0, 4: 0.5}) == [
        Forward(0, 1),
        Forward(1, 3),
        Backward(1, 3, carry=0),
        Backward(0, 1, carry=2.0),
        Forward(3, 4),
        Forward(4, 5),
        Backward(4, 5, carry=0),
        Backward(3, 4, carry=0.5),
    ]
    assert weighted(5, {}) == full(5)
    assert weighted(7, {3: 0, 6: 0}) == chunked(7, 3)
    assert weighted(7, {1: 1, 4: 1}) == full(7, 3)


@EVERY_CELL
def test_weighted_equals_the_reference(target, cell, lengths):
    case, factors = sequence_case(cell), {1: 1.7, 2: 0.0, 4: 0.6, 5: 1.0}
    want = run_reference(reference.weighted, case, lengths, factors)
    assert_same(run_case(weighted(T, factors), target, case, lengths), want)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({5: 1.0}, "edge is 5; .* 1 to 4"),
        ({0: 1.0}, "edge is 0"),
        ({2.5: 1.0}, r"edge is 2\.5"),
        ({2: -1.0}, r"factor at 2 is -1\.0; needs a finite number of at least 0"),
        ({2: np.nan}, "factor at 2 is nan"),
        ({2: np.inf}, "factor at 2 is inf"),
        ({2: np.float32(np.inf)}, "factor at 2 is np.float32"),
        ({2: "x"}, "factor at 2 is 'x'"),
        ({2: None}, "factor at 2 is None"),
        ({2: np.ones((2, 2))}, "factor at 2 is array"),
        ([1.0, 0.5], r"factors is \[1\.0, 0\.5\]; needs a mapping"),
        (None, "factors is None"),
    ],
)
def test_bad_factors(factors, message):
    with pytest.raises(InputError, match=message) as raised:
        weighted(5, factors)
    assert "\n" not in str(raised.value)


def test_a_single_step_has_no_edges():
    assert weighted(1, {}) == full(1)
    with pytest.raises(InputError, match="edge is 1; the edges inside T=1 steps are none"):
        weighted(1, {1: 0.5})


def test_factors_and_edges_of_numpy():
    factors = {np.int8(100): np.float32(0.5), np.int64(200): np.True_}
    assert weighted(np.int16(300), factors) == weighted(300, {100: 0.5, 200: 1.0})


# -- cuts drawn at random ------------------------------------------------------------------------

CHANCES = {
    "one for all": (0.3, 1),
    "one an edge": ([0.1, 0.7, 0.0, 0.45], 1),
    "by the steps since the last cut": (lambda since: since / (since + 2.0), 1),
    "two steps apart": ([0.6, 0.2], 2),
}


@FEW_CELLS
@pytest.mark.parametrize("chance", CHANCES)
def test_the_mean_over_all_truncations_is_the_full_gradient(cell, chance, lengths):
    case = sequence_case(cell, T=5)
    lengths = None if lengths is None else np.minimum(lengths, 5)
    mean, weights = {}, []
    for weight, schedule in every_truncation(5, *CHANCES[chance]):
        weights.append(weight)
        for name, g in gradients_of(run_case(schedule, "plain", case, lengths)).items():
            mean[name] = mean.get(name, 0) + weight * g
    assert len(weights) == 2 ** (4 if CHANCES[chance][1] == 1 else 2)
    assert sum(weights) == pytest.approx(1, rel=1e-14)
    for name, g in gradients_of(run_case(full(5), "plain", case, lengths)).items():
        atol = 1e-12 * max(np.abs(g).max(), 1)
        np.testing.assert_allclose(mean[name], g, rtol=1e-12, atol=atol, err_msg=name)


def test_without_the_factors_the_mean_is_another():
    """The check above can fail: the same cuts, but nothing made up for them."""
    case, mean = sequence_case("gru", T=5), 0
    for weight, schedule in every_truncation(5, 0.3):
        cut = {step.t1: float(bool(step.carry)) for step in schedule if isinstance(step, Backward)}
        cut.pop(5)
        mean = mean + weight * run_case(weighted(5, cut), "plain", case).params["R"]
    whole = run_case(full(5), "plain", case).params["R"]
    assert np.linalg.norm(mean - whole) > 1e-2 * np.linalg.norm(whole)


def test_a_truncation_has_its_cuts_and_factors():
    drawn = artbp(4, {1: 0.5, 2: 0.2, 3: 0.75}, {2})
    assert drawn == weighted(4, {1: 2.0, 2: 0.0, 3: 4.0})


def test_random_truncations_are_among_all_and_as_frequent_as_they_should_be():
    """4000 draws of 8 kinds: each frequency within 5 standard deviations of its probability."""
    chance = [0.3, 0.5, 0.2]
    every = list(every_truncation(4, chance))
    rng = np.random.default_rng(5)
    drawn = [random_truncation(4, chance, rng) for _ in range(4000)]
    for weight, schedule in every:
        share = sum(one == schedule for one in drawn) / len(drawn)
        assert abs(share - weight) < 5 * np.sqrt(weight * (1 - weight) / len(drawn))
    assert random_truncation(50, 0.2, 7) == random_truncation(50, 0.2, np.random.default_rng(7))
    assert random_truncation(50, 0.2, 7) != random_truncation(50, 0.2, 8)
    assert random_truncation(50, 0.0, 7, spacing=50) == full(50)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_truncation(5, 1.0, 0), r"probability of a cut is 1\.0"),
        (lambda: random_truncation(5, -0.1, 0), "probability of a cut is -0.1"),
        (lambda: random_truncation(5, np.nan, 0), "probability of a cut is nan"),
        (lambda: random_truncation(5, [0.1, 0.2], 0), r"chance has shape \(2,\); .* 4 edges"),
        (lambda: random_truncation(5, lambda since: 2.0, 0), r"probability of a cut is 2\.0"),
        (lambda: random_truncation(5, 0.1, "seed"), "rng is 'seed'"),
        (lambda: random_truncation(5, 0.1, 0, spacing=0), "spacing is 0"),
        (lambda: list(every_truncation(22, 0.1)), "21 edges"),
        (lambda: artbp(5, {1: 0.5}, {2}), "cut at 2"),
        (lambda: artbp(5, {5: 0.5}, {}), "edge is 5"),
        (lambda: artbp(5, {1: 0.5}, 1), "cuts are 1; need the edges"),
        (lambda: artbp(5, {1: 0.5}, None), "cuts are None"),
        (lambda: artbp(5, {1: 0.5}, [[1]]), r"cut is \[1\]"),
        (lambda: artbp(5, [0.5], {}), r"probabilities is \[0\.5\]; needs a mapping"),
    ],
)
def test_bad_chances(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
