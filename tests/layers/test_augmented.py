"""Sparse attentive backtracking against the reference and against what it is without memories."""

import json

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients.runner import run as run_schedule
from rnnbench.gradients.schedule import chunked
from rnnbench.layers import augmented as module
from rnnbench.layers.attention import Additive, Dot, General
from rnnbench.layers.augmented import SparseAttentive, sparse_attentive
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case, run_layer_case
from rnnbench.layers.describe import layer_from, to_data
from rnnbench.layers.layer import joined, part
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.sparse import sparse_backward, sparse_weights
from rnnbench.layers.stack import Stack
from rnnbench.target import reference_cell
from rnnbench_reference import augmented as reference

T, B, I, H = 7, 4, 3, 4
LENGTHS = [7, 1, 5, 0]
PLAIN = get_target("plain")
SCORES = {"additive": Additive(5), "dot": Dot(), "general": General()}
CELLS = ["lstm", "gru", "elman_tanh", "lstm[projection=true]", "mut3"]
OPTIONS = [(1, None, None), (1, 1, None), (2, 1, 3), (1, 2, 2), (2, None, 1), (3, 3, 4), (9, 2, 2)]


def model(cell, every, top_k, truncation, score="additive", weighting="softmax", summary=True):
    layer = Recurrent(cell, H)
    return SparseAttentive(layer, SCORES[score], every, top_k, truncation, None, weighting, summary)


def case_of(layer, lengths=LENGTHS, dtype=np.float64):
    return random_layer_case(layer, T, B, I, dtype, lengths=lengths)


def reference_run(case, cell, score):
    """With [h; s] as y, in the names of ``run_layer_case``."""
    layer = case.layer
    options = reference.Options(layer.every, layer.top_k, layer.truncation, score, layer.weighting)
    start, dstate = part(case.state, "layer"), part(case.dstate, "layer")
    run = reference.forward(reference_cell(cell), case.params, case.x, start, case.lengths, options)
    width = run.y.shape[2]
    found = reference.backward(run.tape, case.dy[..., :width], case.dy[..., width:], dstate)
    named = {"y": np.concatenate([run.y, run.summaries], axis=2), "dx": found.x}
    named |= {f"state.{n}": v for n, v in joined({"layer": run.state}).items()}
    named |= {f"d{n}": g for n, g in found.params.items()}
    return named | {f"dstate.{n}": g for n, g in joined({"layer": found.state}).items()}


def assert_close(got, want, rtol=1e-12):
    assert got.keys() == want.keys()
    for name, w in want.items():
        scale = max(np.abs(w).max(), 1e-3)
        np.testing.assert_allclose(got[name], w, rtol=0, atol=rtol * scale, err_msg=name)


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, w in want.items():
        np.testing.assert_array_equal(got[name], w, err_msg=name)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_against_the_reference(cell, options):
    case = case_of(model(cell, *options))
    assert_close(run_layer_case(case, PLAIN), reference_run(case, cell, "additive"))


@pytest.mark.parametrize("weighting", ["softmax", "shifted"])
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("options", [(1, None, 3), (1, 2, None), (2, 1, 2)], ids=str)
def test_every_score_and_weighting(score, weighting, options):
    case = case_of(model("gru", *options, score, weighting))
    assert_close(run_layer_case(case, PLAIN), reference_run(case, "gru", score))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_on_the_cpu(cell):
    case = case_of(model(cell, 1, 2, 3))
    assert_close(run_layer_case(case, get_target("cpu")), reference_run(case, cell, "additive"))


def test_keeping_all_is_the_full_gradient():
    """No edge before T, no score left out: the bits of no truncation and no choice; and a shorter
    truncation, or a smaller choice, is another gradient."""
    full = run_layer_case(case_of(model("lstm", 1, None, None)), PLAIN)
    for options in [(1, T - 1, T), (1, T + 5, T + 5), (1, None, T)]:
        assert_same(run_layer_case(case_of(model("lstm", *options)), PLAIN), full)
    cut = run_layer_case(case_of(model("lstm", 1, None, T - 1)), PLAIN)
    np.testing.assert_array_equal(cut["y"], full["y"])
    for wrong in (cut, run_layer_case(case_of(model("lstm", 1, T - 2, None)), PLAIN)):
        with pytest.raises(AssertionError):
            assert_close(wrong, full, 1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_without_memories_it_is_the_layer_and_truncated_bptt(cell):
    """Memories that would come after T: the cell's own outputs, and chunks' gradients."""
    case = case_of(model(cell, T + 1, 2, 3, summary=False), None)
    got = run_layer_case(case, PLAIN)
    params, state = part(case.params, "layer"), part(case.state, "layer")
    dstate = part(case.dstate, "layer")
    want = run_schedule(
        chunked(T, 3), PLAIN, reference_free(cell), params, case.x, case.dy, state, None, dstate
    )
    np.testing.assert_array_equal(got["y"], want.y)
    for name, g in want.params.items():
        scale = np.abs(g).max()
        np.testing.assert_allclose(got[f"dlayer.{name}"], g, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(got["dx"], want.x, rtol=1e-12, atol=1e-15)
    for name, g in want.state.items():
        np.testing.assert_allclose(got[f"dstate.layer.{name}"], g, rtol=1e-12, atol=1e-15)


def reference_free(cell):
    return Recurrent(cell, H).cell


def test_weights_are_sparse_and_sum_to_one():
    layer = Recurrent("lstm", H)
    case = case_of(model("lstm", 1, 2, None, summary=False))
    given = case.params, case.x, case.dy, Additive(5)
    found = sparse_attentive(
        PLAIN, layer, *given, top_k=2, state=case.state, lengths=case.lengths, dstate=case.dstate
    )
    want = run_layer_case(case, PLAIN)
    np.testing.assert_array_equal(found.y, want["y"])
    np.testing.assert_array_equal(found.params["layer.R"], want["dlayer.R"])
    assert found.weights.shape == (T, B, T)
    for t in range(T):
        for b, n in enumerate(LENGTHS):
            weights = found.weights[t, b]
            assert np.count_nonzero(weights) == (min(t, 2) if t < n else 0)
            assert weights.sum() == pytest.approx(float(0 < t < n), rel=1e-14)
            assert not weights[t:].any()
    again = sparse_attentive(
        PLAIN,
        layer,
        *given[:2],
        lambda y: case.dy * (y.shape == case.dy.shape),
        Additive(5),
        2,
        state=case.state,
        lengths=case.lengths,
        dstate=case.dstate,
    )
    np.testing.assert_array_equal(again.x, found.x)


def test_the_largest_count_the_first_of_equals_and_nan():
    scores = np.array([[1.0, 3.0, 2.0, 3.0], [0.0, np.nan, 5.0, 1.0]])
    kept = sparse_weights("softmax", scores, 2).kept
    np.testing.assert_array_equal(kept, [[0, 1, 0, 1], [0, 1, 1, 0]])
    one = sparse_weights("softmax", scores, 1)
    np.testing.assert_array_equal(one.values, [[0, 1, 0, 0], [0, np.nan, 0, 0]])
    many = np.random.default_rng(0).integers(0, 3, (1, 300)).astype(float)
    first = sorted(range(300), key=lambda i: (-many[0, i], i))[:9]
    kept = np.flatnonzero(sparse_weights("softmax", many, 9).kept[0])
    np.testing.assert_array_equal(kept, sorted(first))
    shifted = sparse_weights("shifted", scores[:1], 3)
    np.testing.assert_allclose(shifted.values, [[0, 0.4, 0.2, 0.4]], rtol=1e-15)
    np.testing.assert_array_equal(sparse_weights("shifted", scores, None).values, scores)


def test_shifted_weights_of_equal_scores_take_nothing():
    weights = sparse_weights("shifted", np.ones((1, 4)), 2)
    assert not weights.values.any()
    assert not sparse_backward("shifted", weights, np.ones((1, 4))).any()


@pytest.mark.parametrize("weighting", ["softmax", "shifted"])
@pytest.mark.parametrize("k", [1, 3, 5, None])
def test_gradient_of_the_weights(weighting, k):
    """Central differences with a step of 1e-6: right to about 1e-9."""
    rng = np.random.default_rng(2)
    scores, dweights, along = rng.standard_normal((3, 2, 5))
    found = sparse_backward(weighting, sparse_weights(weighting, scores, k), dweights)
    ahead, behind = (
        (sparse_weights(weighting, scores + step * along, k).values * dweights).sum()
        for step in (1e-6, -1e-6)
    )
    assert (found * along).sum() == pytest.approx((ahead - behind) / 2e-6, rel=1e-6, abs=1e-9)


def test_a_cut_in_the_wrong_place_fails(monkeypatch):
    case = case_of(model("gru", 1, 2, 3))
    want = reference_run(case, "gru", "additive")
    monkeypatch.setattr(module, "cut", lambda dstate, running: dstate)
    with pytest.raises(AssertionError):
        assert_close(run_layer_case(case, PLAIN), want, 1e-4)


def test_a_gradient_without_the_skip_connections_fails(monkeypatch):
    case = case_of(model("gru", 1, 2, None))
    want = reference_run(case, "gru", "additive")

    def forget(self, inner, t, ds, dvalues, dkeys, sums):
        return 0

    monkeypatch.setattr(SparseAttentive, "remind_backward", forget)
    with pytest.raises(AssertionError):
        assert_close(run_layer_case(case, PLAIN), want, 1e-3)


def test_padding_never_leaks():
    case = case_of(model("lstm", 1, 2, 3))
    clean, past = run_layer_case(case, PLAIN), np.arange(T)[:, None] >= LENGTHS
    case.x[past] = case.dy[past] = np.nan
    assert_same(run_layer_case(case, PLAIN), clean)
    assert not clean["y"][past].any() and not clean["dx"][past].any()


def test_nan_in_a_sequence_without_steps_reaches_no_parameter():
    case = case_of(model("lstm", 1, 2, None))
    clean = run_layer_case(case, PLAIN)
    case.state["layer.h"][3] = np.nan
    got = run_layer_case(case, PLAIN)
    for name in case.params:
        np.testing.assert_array_equal(got[f"d{name}"], clean[f"d{name}"], err_msg=name)
    np.testing.assert_array_equal(got["dstate.layer.h"], clean["dstate.layer.h"])


@pytest.mark.parametrize("state", [None, "0.c", "1.h"])
def test_a_stack_by_finite_differences(state):
    """Any of its states may be reminded. Step 1e-5: right to about 1e-9."""
    layer = Stack([Recurrent("lstm", 3), Recurrent("gru", H)])
    case = case_of(SparseAttentive(layer, Additive(2), 1, 2, state=state, summary=True))
    got = run_layer_case(case, PLAIN)
    gradients = {n: got[f"d{n}"] for n in case.params} | {"x": got["dx"]}
    gradients |= {f"state {n}": got[f"dstate.{n}"] for n in case.state}
    arrays = case.params | {"x": case.x} | {f"state {n}": v for n, v in case.state.items()}
    rng = np.random.default_rng(7)
    along = {n: rng.standard_normal(a.shape) for n, a in arrays.items()}

    def loss(step):
        a = {n: value + step * along[n] for n, value in arrays.items()}
        state = {n: a[f"state {n}"] for n in case.state}
        run = case.layer.forward(PLAIN, {n: a[n] for n in case.params}, a["x"], state, case.lengths)
        final = sum((run.state[n] * d).sum() for n, d in case.dstate.items())
        return (run.y * case.dy).sum() + final

    got = sum((gradients[n] * along[n]).sum() for n in arrays)
    assert got == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-6)


def test_float32_stays_float32():
    one, other = (
        run_layer_case(case_of(model("gru", 1, 2, 3), dtype=d), PLAIN)
        for d in (np.float32, np.float64)
    )
    assert {a.dtype for a in one.values()} == {np.dtype(np.float32)}
    assert_close(one, other, 1e-4)


def test_a_description_makes_the_same():
    layer = Stack([model("gru", 2, 1, 3), Recurrent("lstm", 2)])
    data = json.loads(json.dumps(to_data(layer)))
    made = layer_from(data)
    assert to_data(made) == data
    one, other = (run_layer_case(case_of(l), PLAIN) for l in (layer, made))
    assert_same(one, other)
    assert not layer.causal


@pytest.mark.parametrize(
    "change, message",
    [
        ({"layer": Bidirectional(Recurrent("gru", 2), Recurrent("gru", 2))}, "sees later inputs"),
        ({"attention": "dot"}, "attention is a str; needs Additive"),
        ({"every": 0}, "every is 0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"truncation": 1.5}, "truncation is 1.5"),
        ({"weighting": "sparsemax"}, "unknown weighting 'sparsemax'; allowed: softmax, shifted"),
        ({"weighting": np.ones((2, 2))}, r"unknown weighting array\("),
        ({"summary": 1}, "summary is 1"),
        ({"summary": np.ones((2, 2))}, r"summary is array\(\[\[1., 1.\], \[1., 1.\]\]\)"),
    ],
)
def test_bad_models(change, message):
    given = {"layer": Recurrent("gru", 2), "attention": Dot()} | change
    with pytest.raises(InputError, match=message) as raised:
        SparseAttentive(**given)
    assert "\n" not in str(raised.value)


def test_bad_states():
    for state, shown in (("c", "'c'"), (["h"], r"\['h'\]"), (0, "0")):
        layer = SparseAttentive(Recurrent("gru", 2), Dot(), state=state)
        with pytest.raises(InputError, match=f"state is {shown}; needs one of the states h"):
            layer.forward(PLAIN, {}, np.zeros((T, B, I)))
