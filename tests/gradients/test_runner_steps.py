"""The runner does what a schedule says, no more: steps run, tapes held, gradients on their way."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients import runner
from rnnbench.gradients.checkpointing import optimal_checkpointing, revolve, sqrt_checkpointing
from rnnbench.gradients.clipping import clip_by_value
from rnnbench.gradients.runner import run
from rnnbench.gradients.scan import Scan
from rnnbench.gradients.schedule import (
    Backward,
    Forward,
    Restore,
    Save,
    chunked,
    cost,
    full,
)
from rnnbench.gradients.truncation import random_truncation, truncated, weighted
from rnnbench.params import random_case

T = 9
LENGTHS = np.array([5, 9, 0, 3])
SCHEDULES = {
    "full": full(T),
    "full in chunks": full(T, 2),
    "chunked": chunked(T, 4),
    "truncated": truncated(T, 2, 5),
    "truncated by one": truncated(T, 1, 4),
    "weighted": weighted(T, {2: 0.5, 3: 0.0, 7: 2.0}),
    "random": random_truncation(T, 0.3, 1),
    "segments": sqrt_checkpointing(T),
    "optimal": optimal_checkpointing(T, 2, leaf=2),
    "revolve": revolve(T, 2),
}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def sequence_case(cell, T=T, **sizes):
    return random_case(cell, T=T, B=4, I=3, H=5, seed=4, ragged=False, **sizes)


def run_case(schedule, target, case, upstream=None, **more):
    arguments = case.params, case.x, case.dy if upstream is None else upstream, case.state
    more = {"lengths": LENGTHS, "dstate": case.dstate, "inputs": case.inputs} | more
    return run(schedule, target, case.cell, *arguments, **more)


def arrays_of(found):
    named = {f"params {k}": v for k, v in found.params.items()}
    named |= {f"state {k}": v for k, v in found.state.items()}
    named |= {f"final {k}": v for k, v in found.final.items()}
    return named | {"x": found.x, "y": found.y}


def assert_equal(got, want, rtol=0.0):
    got, want = arrays_of(got), arrays_of(want)
    assert got.keys() == want.keys()
    for name, value in want.items():
        atol = rtol * np.abs(value).max()
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=atol, err_msg=name)


@EVERY_SCHEDULE
def test_what_runs_is_what_the_schedule_says(schedule, counting, monkeypatch):
    monkeypatch.setattr(runner, "SHORTEST", T)  # or steps without a tape would come in pieces
    target, wanted = counting(get_target("plain")), cost(schedule)
    run_case(schedule, target, sequence_case("gru"))
    assert target.forward_steps == [s.t1 - s.t0 for s in schedule if isinstance(s, Forward)]
    assert target.backward_steps == [s.t1 - s.t0 for s in schedule if isinstance(s, Backward)]
    assert sum(target.forward_steps) == wanted.forward
    assert sum(target.backward_steps) == wanted.backward
    assert target.most_taped == wanted.taped
    assert not target.alive


@EVERY_SCHEDULE
@pytest.mark.parametrize("target", ["plain", "reference"])
def test_outputs_are_those_of_one_forward(schedule, target):
    """y and the final states bit for bit, whatever runs again and whatever is cut."""
    case, target = sequence_case("lstm"), get_target(target)
    found = run_case(schedule, target, case)
    want = target.forward(case.cell, case.params, case.x, case.state, LENGTHS, case.inputs)
    np.testing.assert_array_equal(found.y, want.y)
    assert found.final.keys() == want.states.keys()
    for name, history in want.states.items():
        np.testing.assert_array_equal(found.final[name], history[-1])


@pytest.mark.parametrize("target", ["plain", "reference"])
def test_states_are_saved_and_restored(target):
    """One step at a time on a tape, each from the state saved before it."""
    case, steps = sequence_case("lstm"), []
    for t in range(T):
        steps += [Save(t), Forward(t, t + 1, keep=False)]
    for t in reversed(range(T)):
        steps += [Restore(t), Forward(t, t + 1), Backward(t, t + 1, carry=t + 1 < T)]
    target = get_target(target)
    assert_equal(run_case(steps, target, case), run_case(full(T), target, case), rtol=1e-12)


def test_a_wrong_state_would_show():
    """The check above can fail: the states of the sequence, each one step late."""
    case, target = sequence_case("lstm"), get_target("plain")
    whole = run_case(full(T), target, case)
    late = run_case(full(T), target, case, lengths=np.maximum(LENGTHS - 1, 0))
    with pytest.raises(AssertionError):
        assert_equal(late, whole, rtol=1e-3)


@EVERY_SCHEDULE
def test_a_callable_is_asked_once_for_each_new_forward(schedule):
    case, target, seen = sequence_case("gru"), get_target("plain"), []
    weights = np.random.default_rng(2).uniform(0.5, 1.5, case.dy.shape)

    def half_squares(t0, t1, y):
        seen.append((t0, t1))
        assert not y.flags.writeable
        return (weights[t0:t1] * y**2).sum() / 2, weights[t0:t1] * y

    found = run_case(schedule, target, case, half_squares)
    new, reached = [], 0
    for step in schedule:
        if isinstance(step, Forward) and step.t1 > reached:
            new.append((step.t0, step.t1))
            reached = step.t1
    assert seen == new
    assert found.loss == pytest.approx((weights * found.y**2).sum() / 2, rel=1e-13)
    assert_equal(found, run_case(schedule, target, case, weights * found.y))


def test_steps_without_a_tape_run_in_pieces(counting):
    """Their outputs and histories are not to exceed what a tape takes; a callable sees no piece."""
    case, target, seen = sequence_case("gru", T=100), counting(get_target("plain")), []

    def upstream(t0, t1, y):
        seen.append((t0, t1))
        return y

    found = run_case(optimal_checkpointing(100, 1, leaf=30), target, case, upstream)
    assert max(target.forward_steps) == 30 and target.most_taped == 30
    assert seen == [(0, 70), (70, 100)]
    assert_equal(found, run_case(full(100), get_target("plain"), case, found.y), rtol=1e-11)


# -- what flows through time ---------------------------------------------------------------------


def by_hand(case, target, factor, clip):
    """Backpropagation a step at a time, the states' gradient through ``clip`` at each edge."""
    tapes, state, params = [], case.state, {}
    for t in range(T):
        now = {name: values[t : t + 1] for name, values in case.inputs.items()}
        inside = np.clip(LENGTHS - t, 0, 1)
        step = target.forward(case.cell, case.params, case.x[t : t + 1], state, inside, now)
        state = {name: history[-1] for name, history in step.states.items()}
        tapes.append(step.tape)
    after = case.dstate
    for t in reversed(range(T)):
        found = target.backward(tapes[t], case.dy[t : t + 1], after)
        params = {name: params.get(name, 0) + g for name, g in found.params.items()}
        after = found.state
        if t:
            after = clip({name: g * factor for name, g in after.items()})
    return params, after


@pytest.mark.parametrize("limit", [0.05, 0.5])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_gradient_through_time_is_clipped_at_every_edge(cell, limit):
    case, target, seen = sequence_case(cell), get_target("plain"), []

    def clip(gradient):
        clipped = clip_by_value(gradient, limit)
        seen.append(any(np.abs(g).max() > limit for g in gradient.values()))
        return clipped

    params, initial = by_hand(case, target, 1.5, lambda g: clip_by_value(g, limit))
    schedule = weighted(T, dict.fromkeys(range(1, T), 1.5))
    found = run_case(schedule, target, case, through=clip)
    assert len(seen) == T - 1 and any(seen)
    for name, g in params.items():
        np.testing.assert_allclose(found.params[name], g, rtol=1e-12, atol=1e-13, err_msg=name)
    for name, g in initial.items():
        np.testing.assert_allclose(found.state[name], g, rtol=1e-12, atol=1e-13, err_msg=name)
    free = run_case(schedule, target, case)
    assert not np.allclose(free.params["W"], found.params["W"], rtol=1e-3)


@EVERY_SCHEDULE
def test_what_changes_nothing_on_the_way_changes_nothing(schedule):
    case, target, calls = sequence_case("gru"), get_target("plain"), []
    found = run_case(schedule, target, case, through=lambda g: calls.append(1) or dict(g))
    assert len(calls) == sum(isinstance(s, Backward) and bool(s.carry) for s in schedule)
    assert_equal(found, run_case(schedule, target, case))


@pytest.mark.parametrize("through", [lambda g: None, lambda g: {}, lambda g: g | {"extra": 0}])
def test_what_comes_out_on_the_way_has_the_states_names(through):
    with pytest.raises(InputError, match="through has to return arrays by the names h, c"):
        run_case(full(T, 3), get_target("plain"), sequence_case("lstm"), through=through)


# -- sums of gradients ---------------------------------------------------------------------------


class OwnSum:
    """A target with a sum of its own, whose passes give no parameters' gradients."""

    def __init__(self, target):
        self.target, self.name, self.forward = target, "own", target.forward

    def accumulator(self):
        return self.Accumulator(self.target)

    class Accumulator:
        def __init__(self, target):
            self.target, self.parts = target, []

        def backward(self, tape, dy=None, dstate=None):
            found = self.target.backward(tape, dy, dstate)
            self.parts.append(found.params)
            return found._replace(params=None)

        def result(self):
            return {name: sum(part[name] for part in self.parts) for name in self.parts[0]}


@EVERY_SCHEDULE
def test_a_target_may_add_up_by_itself(schedule):
    case, target = sequence_case("gru"), get_target("plain")
    assert_equal(run_case(schedule, OwnSum(target), case), run_case(schedule, target, case))


@EVERY_SCHEDULE
def test_scalars_stay_arrays(schedule):
    """A sum of 0-d arrays would be a number."""
    found = run_case(schedule, get_target("plain"), sequence_case("fast_rnn"))
    shapes = {name: p.shape for name, p in sequence_case("fast_rnn").params.items()}
    assert {name: g.shape for name, g in found.params.items()} == shapes
    assert all(isinstance(g, np.ndarray) for g in found.params.values())


@pytest.mark.parametrize("schedule", [full(T), chunked(T, 2), truncated(T, 2, 3)])
def test_prepared_parameters(schedule):
    case, target = sequence_case("lstm"), get_target("plain")
    arguments = case.x, case.dy, case.state, LENGTHS, case.dstate
    found = run(schedule, target, case.cell, target.prepare(case.cell, case.params), *arguments)
    assert_equal(found, run_case(schedule, target, case))


@EVERY_SCHEDULE
def test_float32_stays(schedule):
    case, target = sequence_case("lstm", dtype=np.float32), get_target("plain")
    assert {v.dtype for v in arrays_of(run_case(schedule, target, case)).values()} == {
        np.dtype("float32")
    }


@pytest.mark.parametrize("schedule", [sqrt_checkpointing(T), revolve(T, 2), chunked(T, 4)])
def test_a_scan_s_tapes_are_let_go(schedule, counting):
    """Also those of the steps that it runs on the target behind it."""
    case, target = sequence_case("min_gru"), counting(get_target("plain"))
    want = run_case(schedule, get_target("plain"), case)
    assert_equal(run_case(schedule, Scan(target), case), want, rtol=1e-11)
    assert not target.alive
