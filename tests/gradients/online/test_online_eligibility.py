"""e-prop and RFLO: the exact gradient of the stop-gradient surrogate."""

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.variants import variant_names
from rnnbench.errors import InputError
from rnnbench.gradients.online import RFLO, EProp, Online
from rnnbench.params import random_case
from rnnbench.target import reference_cell
from rnnbench_reference.online import stop_gradient


def trained_states(spec) -> set[str]:
    """The states that some parameter can reach: the others are functions of x alone."""
    found: set[str] = set()
    for _ in spec.states:
        for k, stage in enumerate(spec.stages):
            reads = {t.source.rstrip("'") for t in stage.terms} | set(spec.stage_states(k))
            if stage.units or any(t.parameter for t in stage.terms) or reads & found:
                found |= set(stage.states)
    return found


def is_elementwise(spec) -> bool:
    """Does no matrix multiply anything of a state that a parameter can reach?"""
    sources = {t.source.rstrip("'") for s in spec.stages for t in s.terms if t.parameter}
    products = {name for stage in spec.stages for name in stage.products}
    return not sources & (trained_states(spec) | products)


ELEMENTWISE = [name for name in cell_names() if is_elementwise(get_cell(name).spec)]


def small_case(cell):
    return random_case(cell, T=4, B=3, I=2, H=3, seed=1)


def surrogate(case):
    valid = np.arange(len(case.x))[:, None, None] < case.lengths[:, None]
    return stop_gradient(
        reference_cell(case.cell), case.params, case.x, np.where(valid, case.dy, 0), case.state,
        case.lengths, case.dstate, case.inputs,
    )  # fmt: skip


@pytest.mark.parametrize("cell", [*cell_names(), *variant_names()[::3]])
def test_eprop_is_its_surrogate(cell, online):
    case = small_case(cell)
    online.assert_same(online.run("e_prop", case).params, surrogate(case))


def test_some_cells_are_elementwise():
    assert len(ELEMENTWISE) > 4 and len(ELEMENTWISE) < len(cell_names())


@pytest.mark.parametrize("cell", ELEMENTWISE)
def test_eprop_is_exact_without_recurrent_matrices(cell, online):
    case = small_case(cell)
    online.assert_same(online.run("e_prop", case).params, online.bptt(case).params)


@pytest.mark.parametrize("cell", ["elman_tanh", "lstm", "gru", "lstm[projection=true]"])
def test_else_it_is_not(cell, online):
    case = small_case(cell)
    assert online.differs(online.run("e_prop", case).params, online.bptt(case).params)


def test_a_trace_without_memory_shows(online):
    class Forgetful(EProp):
        def advance(self, step):
            self.traces = {}
            super().advance(step)

    case = small_case("lstm")
    assert online.differs(online.run(Forgetful(), case).params, surrogate(case))


def test_traces_stay_local():
    """LSTM: a trace a state and gate, as large as the gate's weights; no (states × parameters)."""
    case = small_case("lstm")
    one = Online("e_prop", get_target("plain"), "lstm", case.params, 3)
    for x in case.x:
        one.step(x)
    traces = one.algorithm.traces
    assert {key[0] for key in traces} == {"h", "c"}
    assert all(trace.shape == (3, 3, 6) for trace in traces.values())


def test_murray_s_equations(online):
    """RFLO of a leaky network by hand: p = (1 − 1/τ) p + φ'(u) r / τ, eqs. 3-5, as fast_rnn with
    constant scalars: h' = take tanh(a) + keep h."""
    case = random_case("fast_rnn", T=5, B=1, I=2, H=3, seed=2, ragged=False)
    feedback = np.random.default_rng(3).standard_normal((2, 3))
    errors = np.random.default_rng(4).standard_normal((5, 1, 2))
    got = online.run(RFLO(feedback), case, upstream=errors, dstate=None).params
    take, keep = (1 / (1 + np.exp(-case.params[name])) for name in ("alpha", "beta"))
    h, p, want = case.state["h"][0], np.zeros((3, 3)), np.zeros((3, 3))
    for t in range(5):
        a = case.params["W"] @ case.x[t, 0] + case.params["R"] @ h + case.params["b"]
        p = keep * p + take * np.outer(1 - np.tanh(a) ** 2, h)
        h = take * np.tanh(a) + keep * h
        want += (errors[t, 0] @ feedback)[:, None] * p
    np.testing.assert_allclose(got["R"], want, rtol=1e-12, atol=1e-14)


def test_without_feedback_rflo_is_eprop(online):
    case = small_case("gru")
    online.assert_same(online.run(RFLO(), case).params, online.run(EProp(), case).params, 1e-15)


def test_the_readout_s_transpose_as_feedback_is_eprop(online):
    """A linear readout V: the gradient at y is error · V."""
    case = small_case("lstm")
    V = np.random.default_rng(5).standard_normal((2, 3))
    errors = np.random.default_rng(6).standard_normal((4, 3, 2))
    got = online.run(RFLO(V), case, upstream=errors)
    want = online.run(EProp(), case, upstream=errors @ V)
    online.assert_same(got.params, want.params)


@pytest.mark.parametrize(
    "feedback, message",
    [
        (np.zeros((2, 4)), "feedback is float64.*needs float64"),
        (np.zeros((2, 3), np.float32), "feedback is float32"),
        (np.zeros(3), "feedback has 1 dimensions"),
        (np.zeros((2, 3), int), "feedback has dtype int64"),
    ],
)
def test_bad_feedback(feedback, message, online):
    with pytest.raises(InputError, match=message):
        online.run(RFLO(feedback), small_case("lstm"))
