"""Clipping: nothing below the threshold, the stated norm above it, NaN and inf reported."""

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench import get_target
from rnnbench.errors import InputError, NonFiniteGradient
from rnnbench.gradients.clipping import (
    clip_by_global_norm,
    clip_by_norm,
    clip_by_sequence_norm,
    clip_by_value,
    clip_through_time,
)
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import full
from rnnbench.params import random_case
from rnnbench_reference import clipping as reference_clipping

EVERY_CLIP = [clip_by_global_norm, clip_by_norm, clip_by_value]


def example(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {n: rng.standard_normal(s).astype(dtype) for n, s in {"W": (5, 3), "b": (4,)}.items()}


def norm_of(grads):
    return np.sqrt(sum(np.square(g.astype(np.float64)).sum() for g in grads.values()))


def test_known_answer():
    clipped, norm = clip_by_global_norm({"a": np.array([3.0]), "b": np.array([[4.0]])}, 1.0)
    assert norm == 5.0
    np.testing.assert_allclose(clipped["a"], [0.6], rtol=1e-15)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_sides_of_the_threshold(dtype):
    grads = example(dtype)
    norm = norm_of(grads)
    for factor in (1 + 1e-6, 10.0):
        clipped, found = clip_by_global_norm(grads, factor * norm)
        assert found == pytest.approx(norm, rel=1e-12)
        for name in grads:
            np.testing.assert_array_equal(clipped[name], grads[name])
            assert clipped[name] is not grads[name]
    for factor in (1 - 1e-6, 0.1):
        clipped, found = clip_by_global_norm(grads, factor * norm)
        assert found == pytest.approx(norm, rel=1e-12)
        assert norm_of(clipped) == pytest.approx(factor * norm, rel=1e-7)
        for name in grads:
            assert clipped[name].dtype == dtype
            np.testing.assert_allclose(clipped[name], factor * grads[name], rtol=1e-6)


def test_exactly_at_the_threshold_is_unchanged():
    clipped, norm = clip_by_global_norm({"a": np.array([3.0, 4.0])}, 5.0)
    assert norm == 5.0
    np.testing.assert_array_equal(clipped["a"], [3.0, 4.0])


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_squares_neither_overflow_nor_vanish(scale):
    grads = {name: scale * g for name, g in example().items()}
    clipped, norm = clip_by_global_norm(grads, 0.5 * scale)
    want, want_norm = reference.clip_by_global_norm(grads, 0.5 * scale)
    assert norm == pytest.approx(want_norm, rel=1e-14)
    assert norm == pytest.approx(scale * norm_of(example()), rel=1e-14)
    for name in grads:
        np.testing.assert_allclose(clipped[name], want[name], rtol=1e-14)


def test_zero_and_empty_gradients():
    clipped, norm = clip_by_global_norm({"a": np.zeros(3), "none": np.zeros((0, 2))}, 1.0)
    assert norm == 0.0
    np.testing.assert_array_equal(clipped["a"], np.zeros(3))
    assert clip_by_global_norm({}, 1.0) == ({}, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_value(dtype):
    grads = {"a": np.array([-2.0, -0.5, 0.0, 0.5, 2.0], dtype)}
    clipped = clip_by_value(grads, 0.75)
    assert clipped["a"].dtype == dtype
    np.testing.assert_array_equal(clipped["a"], np.array([-0.75, -0.5, 0.0, 0.5, 0.75], dtype))
    np.testing.assert_array_equal(clip_by_value(grads, 2.0)["a"], grads["a"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip", EVERY_CLIP)
def test_what_is_not_finite_is_reported_by_name(clip, bad):
    grads = example()
    grads["b"][2] = bad
    with pytest.raises(NonFiniteGradient, match=r"gradient b holds .*1 of 4"):
        clip(grads, 1.0)


@pytest.mark.parametrize("threshold", [0, -1.0, np.nan, np.inf, "1", None, True])
@pytest.mark.parametrize("clip", EVERY_CLIP)
def test_bad_threshold(clip, threshold):
    with pytest.raises(InputError, match="finite number above 0"):
        clip(example(), threshold)


@pytest.mark.parametrize("clip", EVERY_CLIP)
def test_bad_gradients(clip):
    with pytest.raises(InputError, match="gradient a has dtype int64"):
        clip({"a": np.arange(3)}, 1.0)
    with pytest.raises(InputError, match="mapping"):
        clip([np.zeros(3)], 1.0)


# -- each array by itself --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_by_norm_of_each_array(dtype, rtol):
    grads = example(dtype)
    norms = {name: norm_of({name: g}) for name, g in grads.items()}
    between = (norms["W"] * norms["b"]) ** 0.5
    assert min(norms.values()) < between < max(norms.values())
    clipped, found = clip_by_norm(grads, between)
    want, _ = reference_clipping.clip_by_norm(grads, between)
    for name, g in grads.items():
        assert found[name] == pytest.approx(norms[name], rel=1e-12)
        assert clipped[name].dtype == dtype
        np.testing.assert_allclose(clipped[name], want[name], rtol=rtol)
        if norms[name] < between:
            np.testing.assert_array_equal(clipped[name], g)
            assert clipped[name] is not g
        else:
            assert norm_of({name: clipped[name]}) == pytest.approx(between, rel=1e-7)


def test_one_array_is_the_global_norm():
    grads = {"W": example()["W"]}
    for max_norm in (0.5, 5.0):
        one, norm = clip_by_global_norm(grads, max_norm)
        each, norms = clip_by_norm(grads, max_norm)
        assert norms == {"W": norm}
        np.testing.assert_array_equal(each["W"], one["W"])


def test_a_norm_that_overflows_is_reported():
    huge = {"fine": np.ones(2), "huge": np.full((2, 3), 1.5e308)}
    with pytest.raises(NonFiniteGradient, match="global norm overflows"):
        clip_by_global_norm(huge, 1.0)
    with pytest.raises(NonFiniteGradient, match="norm of gradient huge overflows"):
        clip_by_norm(huge, 1.0)
    with pytest.raises(NonFiniteGradient, match="sequence 1 overflows"):
        clip_by_sequence_norm({"h": np.array([[1.0, 1.0], [1.5e308, 1.5e308]])}, 1.0)


# -- through time ----------------------------------------------------------------------------------


def states_example(dtype=np.float64, seed=3):
    """Gradients at two states of other widths; the sequences' norms differ by far."""
    rng = np.random.default_rng(seed)
    sizes = np.array([[0.1], [1.0], [10.0], [0.0]])
    return {
        n: (sizes * rng.standard_normal((4, w))).astype(dtype) for n, w in {"h": 3, "c": 5}.items()
    }


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_each_sequence_by_itself(dtype, rtol):
    grads = states_example(dtype)
    clipped, norms = clip_by_sequence_norm(grads, 1.0)
    want, want_norms = reference_clipping.clip_by_sequence_norm(grads, 1.0)
    np.testing.assert_allclose(norms, want_norms, rtol=1e-14)
    over = norms > 1
    assert over.any() and not over.all()
    for name, g in grads.items():
        assert clipped[name].dtype == dtype
        np.testing.assert_allclose(clipped[name], want[name], rtol=rtol)
        np.testing.assert_array_equal(clipped[name][~over], g[~over])
        assert (clipped[name][over] != g[over]).all()
    after = clip_by_sequence_norm(clipped, 10.0)[1]
    np.testing.assert_allclose(after[over], 1.0, rtol=1e-6)


def test_no_sequence_sees_another():
    """Bit for bit: a sequence alone, and the gradients of a batch in another order."""
    grads = states_example()
    whole, _ = clip_by_sequence_norm(grads, 1.0)
    turned, _ = clip_by_sequence_norm({n: g[::-1] for n, g in grads.items()}, 1.0)
    for name, g in grads.items():
        np.testing.assert_array_equal(turned[name][::-1], whole[name])
        for b in range(4):
            one = {n: v[b : b + 1] for n, v in grads.items()}
            np.testing.assert_array_equal(
                clip_by_sequence_norm(one, 1.0)[0][name][0], whole[name][b]
            )
        assert g.shape == whole[name].shape


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_sequences_neither_overflow_nor_vanish(scale):
    grads = {name: scale * g for name, g in states_example().items()}
    _, norms = clip_by_sequence_norm(grads, scale)
    np.testing.assert_allclose(
        norms, scale * clip_by_sequence_norm(states_example(), 1.0)[1], rtol=1e-14
    )


def chain(case, through):
    """Backpropagation a step at a time, ``through`` applied wherever a gradient leaves a step;
    the norms it met, and the gradients of the initial states, of x and of the parameters."""
    target, state, tapes, norms = get_target("plain"), case.state, [], []
    for t in range(len(case.x)):
        run = target.forward(case.cell, case.params, case.x[t : t + 1], state)
        state = {name: history[-1] for name, history in run.states.items()}
        tapes.append(run.tape)
    d, dx, total = case.dstate, [], None
    for t in reversed(range(len(tapes))):
        grads = target.backward(tapes[t], case.dy[t : t + 1], d)
        norms.append(clip_by_sequence_norm(grads.state, 1.0)[1])
        d = through(grads.state)
        dx.insert(0, grads.x[0])
        total = {n: g + total[n] if total else g for n, g in grads.params.items()}
    return np.array(norms), {"x": np.stack(dx)} | d | total


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_through_time_on_both_sides_of_the_threshold(cell):
    """Above every norm met: not a bit changes. Below the largest: that sequence's gradients change
    from there on back, and no other sequence's."""
    case = random_case(cell, T=6, B=4, H=5, ragged=False, seed=4)
    norms, free = chain(case, lambda grads: grads)
    b = int(norms.max(axis=0).argmax())
    t = len(norms) - 1 - int(norms[:, b].argmax())  # the step that its largest gradient leaves
    _, same = chain(case, clip_through_time(max_norm=norms.max() * (1 + 1e-9)))
    for name, g in free.items():
        np.testing.assert_array_equal(same[name], g)
    below = max(norms.max() * (1 - 1e-3), np.delete(norms, b, axis=1).max() * (1 + 1e-9))
    assert below < norms.max()
    _, other = chain(case, clip_through_time(max_norm=below))
    kept = np.arange(4) != b
    np.testing.assert_array_equal(other["x"][:, kept], free["x"][:, kept])
    np.testing.assert_array_equal(other["x"][t:, b], free["x"][t:, b])
    if t:
        assert (other["x"][:t, b] != free["x"][:t, b]).all()
    assert not np.array_equal(other["h"][b], free["h"][b])


@pytest.mark.parametrize("kind", ["max_norm", "limit"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_through_time_against_the_reference(cell, kind):
    """Step by step with the reference's cells and the reference's clips."""
    case = random_case(cell, T=6, B=4, H=5, ragged=False, seed=5)
    bound = 0.3
    _, got = chain(case, clip_through_time(**{kind: bound}))
    state, tapes = case.state, []
    for t in range(6):
        run = reference.forward(cell, case.params, case.x[t : t + 1], state)
        state = {name: history[-1] for name, history in run.states.items()}
        tapes.append(run.tape)
    d, total = case.dstate, None
    for t in reversed(range(6)):
        grads = reference.backward(tapes[t], case.dy[t : t + 1], d)
        if kind == "limit":
            d = reference_clipping.clip_by_value(grads.state, bound)
        else:
            d, _ = reference_clipping.clip_by_sequence_norm(grads.state, bound)
        total = {n: g + total[n] if total else g for n, g in grads.params.items()}
    for name, want in (total | d).items():
        np.testing.assert_allclose(got[name], want, rtol=1e-11, atol=1e-13)
    _, free = chain(case, lambda grads: grads)
    assert not np.allclose(free["R"], total["R"], rtol=1e-3)


@pytest.mark.parametrize("through", [{"max_norm": 1.0}, {"limit": 1.0}])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_through_time_reports_what_is_not_finite(through, bad):
    grads = states_example()
    grads["c"][2, 1] = bad
    with pytest.raises(NonFiniteGradient, match="gradient c holds"):
        clip_through_time(**through)(grads)


def test_bad_clip_through_time():
    for both in ({}, {"max_norm": 1.0, "limit": 1.0}):
        with pytest.raises(InputError, match="give exactly one"):
            clip_through_time(**both)
    for name in ("max_norm", "limit"):
        with pytest.raises(InputError, match=f"{name} is -1"):
            clip_through_time(**{name: -1})
    for shapes in ((3,), (3, 2, 1)):
        with pytest.raises(InputError, match="gradients of states have shapes"):
            clip_by_sequence_norm({"h": np.zeros(shapes)}, 1.0)
    with pytest.raises(InputError, match=r"h \(3, 2\), c \(4, 2\)"):
        clip_by_sequence_norm({"h": np.zeros((3, 2)), "c": np.zeros((4, 2))}, 1.0)
    assert clip_by_sequence_norm({}, 1.0)[0] == {}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("kind", ["max_norm", "limit"])
@pytest.mark.parametrize("k", [1, 2])
def test_through_time_in_the_runner(cell, kind, k):
    """In chunks of k steps the gradient is clipped at the edges that it is carried across; not at
    the first step, where it leaves."""
    case = random_case(cell, T=6, B=4, H=5, ragged=False, seed=6)

    def gradients(through):
        found = run(
            full(6, k), get_target("plain"), cell, case.params, case.x, case.dy, case.state,
            dstate=case.dstate, through=through,
        )  # fmt: skip
        return found.params | found.state | {"x": found.x}

    crossed = []

    def watched(grads):
        crossed.append(clip_by_sequence_norm(grads, 1.0)[1].max())
        return grads

    free = gradients(watched)
    assert len(crossed) == 6 // k - 1
    same = gradients(clip_through_time(max_norm=max(crossed) * (1 + 1e-9)))
    other = gradients(clip_through_time(**{kind: 0.2}))
    for name, g in free.items():
        np.testing.assert_array_equal(same[name], g)
        assert not np.allclose(other[name], g, rtol=1e-3)
    if k == 1:
        clip = iter([clip_through_time(**{kind: 0.2})] * 5 + [lambda grads: grads])
        _, want = chain(case, lambda grads: next(clip)(grads))
        for name, g in want.items():
            np.testing.assert_allclose(other[name], g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("limit", [0.5, 50.0])
def test_a_scalar_stays_an_array(limit):
    """Parameters that are single numbers (fast_rnn's) are 0-d arrays, for who writes into them."""
    grads = {"alpha": np.array(3.0, np.float32), "W": np.ones((2, 2), np.float32)}
    for clipped in (
        clip_by_global_norm(grads, limit)[0],
        clip_by_norm(grads, limit)[0],
        clip_by_value(grads, limit),
    ):
        for name, g in clipped.items():
            assert type(g) is np.ndarray and g.dtype == np.float32, name
            assert g.shape == grads[name].shape and not np.shares_memory(g, grads[name])


@pytest.mark.parametrize("bad", [np.eye(3), 10**400, "x" * 500])
def test_what_is_refused_takes_one_line(bad):
    calls = (
        lambda: clip_by_value({}, bad),
        lambda: clip_through_time(bad),
        lambda: clip_through_time(bad, bad),
    )
    for call in calls:
        with pytest.raises(InputError) as raised:
            call()
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
