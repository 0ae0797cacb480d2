"""Chunked backpropagation and gradient clipping of the reference."""

import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench_reference.truncation import truncated, weighted


def both(case, k):
    args = (case.cell, case.params, case.x, case.dy)
    rest = (case.state, case.lengths, case.dstate, case.inputs)
    return ref.chunked(*args, k, *rest), ref.full(*args, *rest)


def assert_same(one, other, **tolerance):
    for got, want in [
        (one.params, other.params),
        ({"x": one.x}, {"x": other.x}),
        (one.state, other.state),
    ]:
        for name in want:
            np.testing.assert_allclose(got[name], want[name], **tolerance, err_msg=name)


@pytest.mark.parametrize("k", [5, 6, 100])
@pytest.mark.parametrize("cell", ref.cell_names())
def test_one_chunk_is_full_bptt(cell, k, random_case):
    assert_same(*both(random_case(cell, lengths=(3, 1, 5, 0)), k), rtol=0)


@pytest.mark.parametrize("cell", ref.cell_names())
@pytest.mark.parametrize("k", [1, 2, 3])
def test_chunks_cut_the_gradient_at_their_edges(cell, k, random_case):
    """Against full BPTT of each chunk's own loss, started from the states of an uncut run."""
    case = random_case(cell, lengths=(5, 5, 5))
    cut, uncut = both(case, k)
    run = ref.forward(cell, case.params, case.x, case.state, None, case.inputs)
    total = {name: np.zeros_like(p) for name, p in case.params.items()}
    for start in range(0, 5, k):
        stop = min(start + k, 5)
        state = {name: history[start] for name, history in run.states.items()}
        piece = ref.full(
            cell,
            case.params,
            case.x[start:stop],
            case.dy[start:stop],
            state,
            dstate=case.dstate if stop == 5 else None,
            inputs={name: values[start:stop] for name, values in case.inputs.items()},
        )
        total = {name: total[name] + g for name, g in piece.params.items()}
        np.testing.assert_allclose(cut.x[start:stop], piece.x, rtol=1e-12, atol=1e-14)
    for name in total:
        np.testing.assert_allclose(cut.params[name], total[name], rtol=1e-11, atol=1e-14)
        assert not np.allclose(cut.params[name], uncut.params[name], rtol=1e-3)


def test_a_loss_inside_the_last_chunk_does_not_reach_an_earlier_one(random_case):
    case = random_case("gru", lengths=(5, 5))
    case.dy[:4] = 0
    cut, uncut = both(case, 2)
    assert not cut.x[:4].any() and not cut.state["h"].any()
    assert uncut.x[:4].all() and uncut.state["h"].all()


def test_ragged_chunks_equal_full_where_no_gradient_crosses_an_edge(random_case):
    """With R = 0 an Elman step forgets the past, so that cutting changes nothing."""
    case = random_case("elman_tanh", lengths=(3, 1, 5, 0))
    case.params["R"][...] = 0
    case.dstate["h"][:2] = 0  # sequences that end before the last chunk: see chunked's docstring
    cut, uncut = both(case, 2)
    uncut.state["h"][3] = 0  # the empty sequence's dstate passes no cut
    assert_same(cut, uncut, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("k", [0, -1, 2.0, True, None])
def test_chunked_refuses_k(k, random_case):
    with pytest.raises(ValueError, match=r"k: .*, expected an integer of at least 1"):
        both(random_case("gru"), k)


def test_chunked_refuses_dy_of_another_length(random_case):
    case = random_case("gru")
    case.dy = np.concatenate([case.dy, case.dy])
    with pytest.raises(ValueError, match="dy: 10 steps, expected 5"):
        both(case, 2)


def test_clip_by_global_norm_on_both_sides_of_the_threshold():
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    same, norm = ref.clip_by_global_norm(grads, 5.0)
    assert norm == 5.0
    for name in grads:
        np.testing.assert_array_equal(same[name], grads[name])
        assert same[name] is not grads[name]
    clipped, norm = ref.clip_by_global_norm(grads, 2.5)
    assert norm == 5.0
    np.testing.assert_allclose(clipped["a"], [1.5, 0.0])
    np.testing.assert_allclose(clipped["b"], [[2.0]])
    np.testing.assert_array_equal(grads["a"], [3.0, 0.0])


def test_clip_by_global_norm_neither_overflows_nor_changes_dtype():
    grads = {"a": np.full(4, 1e200), "b": np.zeros(2)}
    clipped, norm = ref.clip_by_global_norm(grads, 1.0)
    assert norm == pytest.approx(2e200)
    np.testing.assert_allclose(clipped["a"], 0.5)
    single, _ = ref.clip_by_global_norm({"a": np.full(4, 3e30, np.float32)}, np.float64(1.0))
    assert single["a"].dtype == np.float32
    assert ref.clip_by_global_norm({"a": np.zeros(3)}, 1.0)[1] == 0.0


def test_clip_by_value():
    grads = {"a": np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32)}
    clipped = ref.clip_by_value(grads, np.float64(1.0))["a"]
    np.testing.assert_array_equal(clipped, [-1.0, -0.5, 0.0, 0.5, 1.0])
    assert clipped.dtype == np.float32


@pytest.mark.parametrize("clip", [ref.clip_by_global_norm, ref.clip_by_value])
def test_clipping_refuses(clip):
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="R: NaN or inf in the gradient"):
            clip({"W": np.ones(2), "R": np.array([1.0, bad])}, 1.0)
    for limit in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="expected a number above 0"):
            clip({"W": np.ones(2)}, limit)
    with pytest.raises(ValueError, match="W: dtype int64, allowed: float32, float64"):
        clip({"W": np.ones(2, int)}, 1.0)


# -- windows that overlap, factors at edges ------------------------------------------------------


def run_truncated(case, k1, k2):
    args = (case.cell, case.params, case.x, case.dy, k1, k2)
    return truncated(*args, case.state, case.lengths, case.dstate, case.inputs)


def run_weighted(case, factors):
    args = (case.cell, case.params, case.x, case.dy, factors)
    return weighted(*args, case.state, case.lengths, case.dstate, case.inputs)


@pytest.mark.parametrize("cell", ref.cell_names())
def test_ends_of_truncation(cell, random_case):
    """k1 = k2 are chunks; one window, and factors of 1, are full BPTT."""
    case = random_case(cell, lengths=(3, 1, 5, 0))
    for k in (2, 3):
        chunks, whole = both(case, k)
        assert_same(run_truncated(case, k, k), chunks, rtol=1e-12, atol=1e-13)
    for k1, k2 in ((5, 5), (7, 9)):
        assert_same(run_truncated(case, k1, k2), whole, rtol=1e-12, atol=1e-13)
    assert_same(run_weighted(case, {}), whole, rtol=1e-12, atol=1e-13)
    assert_same(run_weighted(case, {2: 0, 4: 0}), both(case, 2)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("windows", [(1, 2), (2, 3), (2, 4), (3, 4)])
def test_windows_by_the_complex_step(cell, windows, random_case):
    """Of the sum of the windows' losses, each from the number that the state is at its start:
    the imaginary part of a step of 1e-200 has no truncation error."""
    k1, k2 = windows
    case, rng = random_case(cell, lengths=(3, 1, 5, 0)), np.random.default_rng(3)
    lengths, steps = np.array((3, 1, 5, 0)), len(case.x)
    states = ref.forward(cell, case.params, case.x, case.state, lengths).states
    along = {name: rng.standard_normal(p.shape) for name, p in case.params.items()}
    along_x = rng.standard_normal(case.x.shape)
    params = {name: p + 1e-200j * along[name] for name, p in case.params.items()}
    x, total = case.x + 1e-200j * along_x, 0
    for end in range(k1, steps + k1, k1):
        start, stop = max(end - k2, 0), min(end, steps)
        held = {name: history[start].astype(complex) for name, history in states.items()}
        inside = np.clip(lengths - start, 0, stop - start)
        run = ref.forward(cell, params, x[start:stop], held, inside)
        first = end - k1
        total = total + (run.y[first - start :] * case.dy[first:stop]).sum()
        if stop == steps:
            total = total + sum((run.states[n][-1] * d).sum() for n, d in case.dstate.items())
    found = run_truncated(case, k1, k2)
    slope = (found.x * along_x).sum() + sum((found.params[n] * d).sum() for n, d in along.items())
    assert slope == pytest.approx(total.imag / 1e-200, rel=1e-12)
    whole = ref.full(cell, case.params, case.x, case.dy, case.state, lengths, case.dstate)
    uncut = (whole.x * along_x).sum() + sum((whole.params[n] * d).sum() for n, d in along.items())
    assert slope != pytest.approx(uncut, rel=1e-4)


def test_a_factor_scales_what_crosses_its_edge(random_case):
    """Beyond the edge the gradient is linear in it; a loss before the edge does not feel it."""
    case = random_case("lstm", lengths=(5, 5))
    found = {f: run_weighted(case, {2: f}) for f in (0, 1, 3)}
    np.testing.assert_array_equal(found[0].x[2:], found[3].x[2:])
    assert not np.allclose(found[0].x[:2], found[3].x[:2])
    assert not np.allclose(found[0].state["h"], found[3].state["h"])
    np.testing.assert_allclose(
        found[3].x - found[0].x, 3 * (found[1].x - found[0].x), rtol=1e-9, atol=1e-12
    )


def test_truncation_refuses(random_case):
    case = random_case("gru")
    for k1, k2, message in (
        (0, 2, "k1: 0, expected an integer"),
        (1, True, "k2: True, expected an integer"),
        (3, 2, "k2: 2, expected at least k1 = 3"),
    ):
        with pytest.raises(ValueError, match=message):
            run_truncated(case, k1, k2)
    case.dy = np.concatenate([case.dy, case.dy])
    for call in (lambda: run_truncated(case, 1, 2), lambda: run_weighted(case, {})):
        with pytest.raises(ValueError, match="dy: 10 steps, expected 5"):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_numbers_stay_arrays_of_their_dtype(dtype, random_case):
    """A scalar parameter's gradient, and a factor of NumPy's own."""
    case = random_case("fast_rnn", dtype=dtype)
    for found in (
        both(case, 2)[0],
        run_truncated(case, 2, 3),
        run_weighted(case, {2: np.float64(0.5)}),
    ):
        for name, g in found.params.items():
            assert type(g) is np.ndarray and g.dtype == dtype, name


def test_narrow_whole_numbers_do_not_overflow(random_case):
    """64 + 64 is no number of int8, and below it no end would ever come."""
    case = random_case("elman_tanh", lengths=(130, 130))
    case.x, case.dy = (np.concatenate([values] * 26) for values in (case.x, case.dy))
    for k in (np.int8(64), np.uint8(64)):
        assert_same(run_truncated(case, k, np.int8(64)), both(case, 64)[0], rtol=1e-12, atol=1e-13)
        assert_same(both(case, k)[0], both(case, 64)[0], rtol=0)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({0: 1.0}, r"edge 0, expected one of 1\.\.4"),
        ({5: 1.0}, "edge 5"),
        ({2.5: 1.0}, r"edge 2\.5"),
        ({2: "x"}, "'x' at 2, expected a number"),
        ([1.0], "list, expected a mapping"),
    ],
)
def test_factors_elsewhere_are_not_ignored(factors, message, random_case):
    with pytest.raises(ValueError, match=message):
        run_weighted(random_case("gru"), factors)
