"""Checkpointing: the full gradient, with the stored states and forward steps that were planned."""

import functools
import heapq

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError
from rnnbench.gradients.checkpointing import (
    least_steps,
    optimal_checkpointing,
    recurrence,
    recursive,
    revolve,
    sqrt_checkpointing,
)
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import (
    Backward,
    Cost,
    Forward,
    Restore,
    Save,
    check_schedule,
    cost,
    full,
)
from rnnbench.params import random_case

PLANNERS = pytest.mark.parametrize("planner", [optimal_checkpointing, revolve])


# -- the order -----------------------------------------------------------------------------------


def test_the_order_of_segments():
    assert sqrt_checkpointing(5, 2) == [
        Save(0),
        Forward(0, 1, keep=False),
        Save(1),
        Forward(1, 3, keep=False),
        Forward(3, 5),
        Backward(3, 5, carry=False),
        Restore(1),
        Forward(1, 3),
        Backward(1, 3, carry=True),
        Restore(0),
        Forward(0, 1),
        Backward(0, 1, carry=True),
    ]


@PLANNERS
def test_the_order_with_one_state(planner):
    """Every step anew from the start: 3 + 2 + 1 forward steps."""
    assert planner(3, 1) == [
        Save(0),
        Forward(0, 2, keep=False),
        Forward(2, 3),
        Backward(2, 3, carry=False),
        Restore(0),
        Forward(0, 1, keep=False),
        Forward(1, 2),
        Backward(1, 2, carry=True),
        Restore(0),
        Forward(0, 1),
        Backward(0, 1, carry=True),
    ]


@PLANNERS
def test_the_order_with_two_states(planner):
    """Four leaves of two steps, the first short; C(4, 2) = 2 + C(2, 1) + C(2, 2) = 8 of them."""
    assert planner(7, 2, leaf=2) == [
        Save(0),
        Forward(0, 3, keep=False),
        Save(3),
        Forward(3, 5, keep=False),
        Forward(5, 7),
        Backward(5, 7, carry=False),
        Restore(3),
        Forward(3, 5),
        Backward(3, 5, carry=True),
        Restore(0),
        Forward(0, 1, keep=False),
        Forward(1, 3),
        Backward(1, 3, carry=True),
        Restore(0),
        Forward(0, 1),
        Backward(0, 1, carry=True),
    ]


SCHEDULES = [sqrt_checkpointing(23), sqrt_checkpointing(7, 3), sqrt_checkpointing(1)]
SCHEDULES += [planner(23, *how) for planner in (optimal_checkpointing, revolve)
              for how in ((1,), (3,), (2, 4), (30, 5), (5, 23))]  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_leaves_are_gone_through_once_from_the_end(schedule):
    back = [step for step in schedule if isinstance(step, Backward)]
    T = back[0].t1
    assert [step.t1 for step in back] == [T] + [step.t0 for step in back[:-1]]
    assert back[-1].t0 == 0
    assert [bool(step.carry) for step in back] == [False] + [True] * (len(back) - 1)
    first_visits = [
        step for place, step in enumerate(schedule) if isinstance(step, Forward)
        and not any(isinstance(s, Forward) and s.t1 >= step.t1 for s in schedule[:place])
    ]  # fmt: skip
    assert [step.t0 for step in first_visits] == [0] + [step.t1 for step in first_visits[:-1]]


# -- what it costs -------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [1, 2, 9, 10, 16, 17, 100])
@pytest.mark.parametrize("length", [None, 1, 2, 5, 16, 200])
def test_segments_cost_what_they_should(T, length):
    found = cost(sqrt_checkpointing(T, length))
    length = int(np.ceil(np.sqrt(T))) if length is None else length
    n = -(-T // length)
    again = T - length if n > 1 else 0
    assert found == Cost(T + again, again, T, states=n - 1, taped=min(length, T))


@functools.cache
def best(t, m, leaf):
    """The recurrence, every y tried; the states are those on top of what runs to the left."""
    if t <= leaf:
        return t
    if m == 0:
        return np.inf
    return min(y + best(t - y, m - 1, leaf) + best(y, m, leaf) for y in range(1, t))


def cheapest(T, m, leaf):
    """The fewest forward steps of all there are, without a recurrence: the shortest path from the
    start to the end, a node being (steps left to go back through, the current state, what is
    stored)."""
    queue, done = [(0, T, 0, ())], set()
    while queue:
        steps, left, now, stored = heapq.heappop(queue)
        if left == 0:
            return steps
        if (left, now, stored) in done:
            continue
        done.add((left, now, stored))
        nexts = [(steps, left, s, stored) for s in stored]  # go on from a stored state
        for forgotten in stored:
            kept = tuple(s for s in stored if s != forgotten)
            nexts.append((steps, left, now, kept))
        if now not in stored and len(stored) < m:
            nexts.append((steps, left, now, tuple(sorted((*stored, now)))))
        if now + 1 < left:
            nexts.append((steps + 1, left, now + 1, stored))
        if now < left <= now + leaf:  # the rest on a tape, and back through it
            nexts.append((steps + left - now, now, left, stored))
        for node in nexts:
            heapq.heappush(queue, node)
    return np.inf


@PLANNERS
@pytest.mark.parametrize("leaf", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_forward_steps_are_the_recurrence_s_optimum(planner, m, leaf):
    for T in range(1, 21):
        found = cost(planner(T, m, leaf))
        assert found.forward == best(T, m, leaf) == least_steps(T, m, leaf)
        assert found.backward == T
        assert found.states <= m and found.taped == min(T, leaf)


@pytest.mark.parametrize("leaf", [1, 2])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_no_schedule_is_cheaper(m, leaf):
    for T in range(1, 9):
        assert least_steps(T, m, leaf) == cheapest(T, m, leaf)


@PLANNERS
def test_ends_of_the_recurrence(planner):
    """Gruslys et al. 2016: C(t, 1) = t(t+1)/2, and 2t − 1 with a state for every step."""
    for T in range(1, 15):
        assert cost(planner(T, 1)).forward == T * (T + 1) // 2
        assert cost(planner(T, T)).forward == 2 * T - 1
        assert planner(T, 5, leaf=T) == planner(T, 0, leaf=T) == full(T)


@pytest.mark.parametrize("m", [1, 2, 7, 30])
def test_the_closed_form_is_the_table_s(m):
    costs, splits = recurrence(300, m)
    for t in range(1, 301):
        assert least_steps(t, m) == costs[t]
    assert len(splits) == m + 1


@PLANNERS
@pytest.mark.parametrize(("stored", "leaf"), [(3, 100), (12, 50), (100, 20)])
def test_long_sequences(planner, stored, leaf):
    found = cost(planner(20_000, stored, leaf))
    assert found.forward == least_steps(20_000, stored, leaf)
    assert found.states <= stored and found.taped == leaf


def test_another_split_costs_more():
    """The checks above can fail: halves in place of the best split."""
    halves = recursive(20, 2, 1, lambda n, m: n - 1 if m == 1 else n // 2)
    assert cost(halves).forward > least_steps(20, 2)


# -- what it computes ----------------------------------------------------------------------------

T = 7
LENGTHS = {"whole": None, "ragged": np.array([5, 7, 0, 3])}
PLANS = {
    "sqrt": sqrt_checkpointing(T),
    "single steps": sqrt_checkpointing(T, 1),
    "one state": revolve(T, 1),
    "three states": revolve(T, 3),
    "two states, leaves of two": optimal_checkpointing(T, 2, leaf=2),
    "chunks": full(T, 3),
}


@pytest.fixture(params=LENGTHS)
def lengths(request):
    return LENGTHS[request.param]


def run_case(schedule, target, cell, lengths, upstream=None):
    case = random_case(cell, T=T, B=4, I=3, H=5, seed=1, ragged=False)
    upstream = case.dy if upstream is None else upstream
    arguments = cell, case.params, case.x, upstream, case.state, lengths, case.dstate, case.inputs
    return run(schedule, get_target(target), *arguments)


def arrays_of(found):
    named = {f"params {k}": v for k, v in found.params.items()}
    named |= {f"state {k}": v for k, v in found.state.items()}
    named |= {f"final {k}": v for k, v in found.final.items()}
    return named | {"x": found.x, "y": found.y}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("cell", [*representatives(), "gru"])
def test_checkpointed_is_full(cell, plan, lengths):
    """All but the parameters' sums, which are in another order, bit for bit."""
    got, want = (
        arrays_of(run_case(schedule, "plain", cell, lengths)) for schedule in (PLANS[plan], full(T))
    )
    for name, value in want.items():
        rtol = 1e-12 if name.startswith("params") else 0
        atol = rtol * np.abs(value).max()
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_checkpointed_has_the_bits_of_full(cell, plan, lengths):
    got, want = (
        arrays_of(run_case(schedule, "cpu", cell, lengths)) for schedule in (PLANS[plan], full(T))
    )
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize("plan", PLANS)
def test_the_upstream_is_asked_once_and_in_order(plan, lengths):
    """Whatever edges the steps that run again have."""
    weights, seen = np.random.default_rng(3).uniform(0.5, 1.5, (T, 4, 5)), []

    def half_squares(t0, t1, y):
        seen.extend(range(t0, t1))
        return (weights[t0:t1] * y**2).sum() / 2, weights[t0:t1] * y

    got = run_case(PLANS[plan], "plain", "gru", lengths, half_squares)
    assert seen == list(range(T))
    assert got.loss == pytest.approx((weights * got.y**2).sum() / 2, rel=1e-13)
    want = arrays_of(run_case(PLANS[plan], "plain", "gru", lengths, weights * got.y))
    for name, value in arrays_of(got).items():
        np.testing.assert_array_equal(value, want[name], err_msg=name)


@PLANNERS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0), "stored is 0; T=5 steps in leaves of 1"),
        ((5, 0, 4), "stored is 0"),
        ((5, -1), "stored is -1"),
        ((5, 1.5), r"stored is 1\.5"),
        ((0, 1), "T is 0"),
        ((5, 1, 0), "leaf is 0"),
    ],
)
def test_budgets_too_small(planner, arguments, message):
    for call in (planner, least_steps):
        with pytest.raises(InputError, match=message) as raised:
            call(*arguments)
        assert "\n" not in str(raised.value)


def test_bad_segments():
    for arguments, message in (((0,), "T is 0"), ((5, 0), "length is 0")):
        with pytest.raises(InputError, match=message):
            sqrt_checkpointing(*arguments)


def test_schedules_hang_together():
    for schedule in SCHEDULES:
        T = max(step.t1 for step in schedule if isinstance(step, Forward))
        assert check_schedule(schedule, T) == schedule
