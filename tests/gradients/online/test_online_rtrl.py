"""RTRL is the gradient of backpropagation, at every step, for every cell."""

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.conformance.variants import variant_names
from rnnbench.gradients.online import Online
from rnnbench.gradients.online.layout import layout_of
from rnnbench.gradients.online.local import local_step
from rnnbench.gradients.online.rtrl import RTRL
from rnnbench.params import random_case
from rnnbench.target import Gradients, reference_cell
from rnnbench_reference.rtrl import linearised, rtrl

EVERY_CELL = pytest.mark.parametrize("cell", cell_names())
PLAIN = get_target("plain")


def small_case(cell, seed=0, T=4, B=2):
    return random_case(cell, T=T, B=B, I=2, H=3, seed=seed, ragged=False)


@pytest.mark.parametrize("cell", [*cell_names(), *variant_names()])
def test_rtrl_is_bptt(cell, online):
    """Parameters and initial states; ragged, with an empty sequence; per-step inputs."""
    case = small_case(cell, B=3)
    lengths = np.array([4, 0, 2])
    got, want = online.run("rtrl", case, lengths=lengths), online.bptt(case, lengths=lengths)
    online.assert_same(got.params, want.params)
    online.assert_same(got.state, want.state)
    assert any(g.any() for g in want.params.values())  # or the case would show nothing
    forward = PLAIN.forward(case.cell, case.params, case.x, case.state, lengths, case.inputs)
    np.testing.assert_array_equal(got.y, forward.y)
    for name, history in forward.states.items():
        np.testing.assert_array_equal(got.final[name], history[-1])


@EVERY_CELL
def test_prefix_gradients(cell, online):
    """After t steps the gradients so far add up to backpropagation of those t steps."""
    case = small_case(cell, seed=1)
    one = Online("rtrl", PLAIN, cell, case.params, 2, case.state)
    total = {}
    for t in range(4):
        one.step(case.x[t], {name: values[t] for name, values in case.inputs.items()})
        found = one.gradient(case.dy[t]).params
        total = {name: total.get(name, 0) + g for name, g in found.items()}
        short = case.cut(slice(0, t + 1), slice(None))
        online.assert_same(total, online.bptt(short, dstate=None).params)


@pytest.mark.parametrize("cell", [*representatives(), "lstm[recurrent_dropout=True]"])
def test_slopes_are_the_tape_s(cell):
    """On the CPU: x, states, per-step inputs, parameters may be changed meanwhile."""
    target, case = get_target("cpu"), small_case(cell, seed=3)
    arguments = cell, case.params, case.x, case.state, case.lengths, case.inputs
    want = PLAIN.linearise(PLAIN.forward(*arguments).tape)
    tape = target.forward(*arguments).tape
    for array in (case.x, *case.state.values(), *case.inputs.values(), *case.params.values()):
        array[...] = np.nan
    found = target.linearise(tape)
    for mine, plain in zip(found.slopes, want.slopes, strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-12, atol=1e-14)
    for name, plain in want.sources.items():
        np.testing.assert_allclose(found.sources[name], plain, rtol=1e-12, atol=1e-14)


@EVERY_CELL
def test_a_step_is_the_reference_s(cell):
    """J and F = Z ⊗ source, entries collected into parameters, against the complex step."""
    case = small_case(cell, seed=2)
    lengths = np.array([4, 3])
    built = get_cell(cell)
    want = linearised(
        reference_cell(cell), case.params, case.x, case.state, lengths, case.inputs
    )  # fmt: skip
    forward = PLAIN.forward(cell, case.params, case.x, case.state, lengths, case.inputs)
    found = PLAIN.linearise(forward.tape)
    layout = layout_of(built.spec, found.problem.sizes)
    for t in range(4):
        step = local_step(layout, found, t, PLAIN.matmul)
        np.testing.assert_allclose(step.dense_jacobian(), want.J[t], rtol=1e-11, atol=1e-13)
        Z = step.dense_injection()
        for b, unit in np.ndindex(2, layout.n):
            entries = np.concatenate([
                np.outer(Z[b, unit, place.rows], step.source(i)[b]).ravel()
                for i, place in enumerate(layout.places)
            ])  # fmt: skip
            used = Gradients(layout.collect(entries), None, None)
            row = PLAIN.trained(found.problem, used).params
            flat = np.concatenate([np.ravel(row[name]) for name in case.params])
            np.testing.assert_allclose(flat, want.F[t, b, unit], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("cell", representatives())
def test_rtrl_is_the_reference_s(cell, online):
    case = small_case(cell, seed=3)
    lengths = np.array([4, 1])
    want = rtrl(
        reference_cell(cell), case.params, case.x, case.dy, case.state, lengths, case.dstate,
        case.inputs,
    )  # fmt: skip
    got = online.run("rtrl", case, lengths=lengths)
    online.assert_same(got.params, want.params)
    online.assert_same(got.state, want.state)


def test_the_names_of_the_reference_agree():
    assert set(cell_names()) == set(reference.cell_names())


@pytest.mark.parametrize("cell", representatives())
def test_collect_and_spread_are_adjoint(cell):
    """⟨collect(e), p⟩ = ⟨e, spread(p)⟩, so no entry is lost and none is counted twice."""
    case = small_case(cell)
    built = get_cell(cell)
    sizes = {k: v for k, v in case.sizes.items() if k not in "TB"}
    layout = layout_of(built.spec, sizes)
    entries = np.random.default_rng(0).standard_normal(layout.N)
    collected, spread = layout.collect(entries), layout.spread(case.params, np.float64)
    left = sum((collected[name] * value).sum() for name, value in case.params.items())
    assert left == pytest.approx(entries @ spread, rel=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "mlstm_multiplicative"])
def test_any_planted_mistake_shows(cell, online):
    """No path through matrices; a transposed J; the source of the wrong step."""

    class Local(RTRL):
        through_matrices = False

    class Transposed(RTRL):
        def advance(self, step):
            def times(carried):
                turned = np.swapaxes(step.dense_jacobian(), 1, 2)
                return turned @ carried

            object.__setattr__(step, "times", times)
            super().advance(step)

    class Late(RTRL):
        def advance(self, step):
            now = step.sources
            object.__setattr__(step, "sources", getattr(self, "before", now))
            super().advance(step)
            self.before = now

    case = small_case(cell)
    want = online.bptt(case).params
    assert not online.differs(online.run(RTRL(), case).params, want)
    for wrong in (Local, Transposed, Late):
        assert online.differs(online.run(wrong(), case).params, want), wrong


def test_float32(online):
    case = random_case("lstm", T=5, B=2, I=3, H=4, dtype=np.float32, seed=1)
    got, want = online.run("rtrl", case), online.bptt(case)
    assert all(g.dtype == np.float32 for g in got.params.values())
    online.assert_same(got.params, want.params, rtol=2e-5)
