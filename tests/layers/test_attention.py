"""Attention scores and contexts: against the reference, and what holds exactly."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers import attention as module
from rnnbench.layers.attention import Additive, Dot, General, softmax
from rnnbench.layers.layer import random_arrays
from rnnbench.layers.networks import attention_data, attention_from
from rnnbench_reference.attention import attend, attend_backward

T, S, B, Q, K = 3, 5, 4, 3, 4
LENGTHS = np.array([5, 1, 3, 4])
PLAIN = get_target("plain")
SCORES = {"additive": (Additive(6), Q), "dot": (Dot(), K), "general": (General(), Q)}
EVERY_SCORE = pytest.mark.parametrize("kind", SCORES)


def mask():
    allowed = np.ones((S, B), bool)
    allowed[1, 0] = allowed[3, 0] = allowed[0, 3] = False
    return allowed


def case(kind, dtype=np.float64):
    """(score, params, query, source, dcontext)."""
    score, width = SCORES[kind]
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(-1, 1, s).astype(dtype) for s in [(T, B, width), (S, B, K), (T, B, K)]]
    return score, random_arrays(score.parameters(width, K), dtype, 1), *arrays


def run(kind, target=PLAIN, dtype=np.float64, change=lambda source: source):
    score, params, query, source, dcontext = case(kind, dtype)
    result = score.forward(target, params, query, change(source), LENGTHS, mask())
    found = score.backward(result.tape, dcontext)
    named = {"context": result.context, "weights": result.weights}
    named |= {"query": found.query, "source": found.source}
    return named | {f"d{name}": g for name, g in found.params.items()}


def reference(kind):
    _, params, query, source, dcontext = case(kind)
    found = {
        "context": np.zeros((T, B, K)),
        "weights": np.zeros((T, B, S)),
        "query": np.zeros_like(query),
        "source": np.zeros_like(source),
    }
    found |= {f"d{name}": np.zeros_like(p) for name, p in params.items()}
    for b in range(B):
        there = np.flatnonzero((np.arange(S) < LENGTHS[b]) & mask()[:, b])
        for t in range(T):
            seen = query[t, b], source[there, b]
            found["context"][t, b], weights = attend(kind, params, *seen)
            found["weights"][t, b, there] = weights
            dparams, found["query"][t, b], dsource = attend_backward(
                kind, params, *seen, weights, dcontext[t, b]
            )
            found["source"][there, b] += dsource
            for name, g in dparams.items():
                found[f"d{name}"] += g
    return found


def assert_close(got, want, rtol):
    assert got.keys() == want.keys()
    for name, w in want.items():
        np.testing.assert_allclose(got[name], w, rtol=0, atol=rtol * np.abs(w).max(), err_msg=name)


@EVERY_SCORE
@pytest.mark.parametrize("target", ["plain", "cpu"])
def test_against_the_reference(kind, target):
    assert_close(run(kind, get_target(target)), reference(kind), 1e-14)


@EVERY_SCORE
def test_float32_stays_float32(kind):
    got = run(kind, dtype=np.float32)
    assert {a.dtype for a in got.values()} == {np.dtype(np.float32)}
    assert_close(got, reference(kind), 3e-6)


@EVERY_SCORE
def test_an_ignored_mask_fails(kind, monkeypatch):
    monkeypatch.setattr(module, "allowed_steps", lambda *_: np.ones((B, S), bool))
    with pytest.raises(AssertionError):
        assert_close(run(kind), reference(kind), 1e-3)


@EVERY_SCORE
def test_a_softmax_gradient_without_its_mean_fails(kind, monkeypatch):
    monkeypatch.setattr(module, "softmax_backward", lambda w, d, _: w * d)
    with pytest.raises(AssertionError):
        assert_close(run(kind), reference(kind), 1e-3)


@EVERY_SCORE
def test_weights_sum_to_one_where_they_may(kind):
    weights = run(kind)["weights"]
    allowed = (mask() & (np.arange(S)[:, None] < LENGTHS)).T
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-15)
    assert (weights[:, allowed] > 0).all()
    assert not weights[:, ~allowed].any()


@EVERY_SCORE
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_masked_steps_are_never_seen(kind, bad):
    def spoiled(source):
        source = source.copy()
        source[~mask()] = bad
        source[np.arange(S)[:, None] >= LENGTHS] = bad
        return source

    clean, dirty = run(kind), run(kind, change=spoiled)
    for name, want in clean.items():
        np.testing.assert_array_equal(dirty[name], want, err_msg=name)


@EVERY_SCORE
def test_nan_that_is_looked_at_is_seen_by_its_sequence_only(kind):
    def spoiled(source):
        source = source.copy()
        source[0, 1, 0] = np.nan
        return source

    clean, got = run(kind), run(kind, change=spoiled)
    others = [0, 2, 3]
    assert np.isnan(got["context"][:, 1, 0]).all()
    for name in ("context", "weights", "query", "source"):
        np.testing.assert_array_equal(got[name][:, others], clean[name][:, others])
    assert not got["weights"][:, 1, 1:].any()


@EVERY_SCORE
def test_a_query_of_nan_gives_no_gradient_to_masked_steps(kind):
    score, params, query, source, dcontext = case(kind)
    query[1, 0, 0] = np.nan
    result = score.forward(PLAIN, params, query, source, LENGTHS, mask())
    found = score.backward(result.tape, dcontext)
    allowed = mask() & (np.arange(S)[:, None] < LENGTHS)
    assert np.isnan(found.source[:, 0][allowed[:, 0]]).any()
    assert not found.source[~allowed].any()
    assert np.isfinite(found.source[:, 1:]).all()


@EVERY_SCORE
def test_equal_scores_give_the_mean(kind):
    score, params, query, source, _ = case(kind)
    params = {name: np.zeros_like(p) for name, p in params.items()}
    if kind == "dot":
        query = np.zeros_like(query)
    result = score.forward(PLAIN, params, query, source, LENGTHS)
    for b, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(result.weights[:, b, :n], 1 / n)
        want = np.broadcast_to(source[:n, b].mean(axis=0), (T, K))
        np.testing.assert_allclose(result.context[:, b], want, rtol=1e-14, atol=1e-16)


def test_a_shift_of_all_scores_changes_nothing():
    """Not even one that exp could not take; powers of two, so that the sums are exact."""
    scores = np.round(np.random.default_rng(0).uniform(-4, 4, (T, B, S)) * 2**20) / 2**20
    allowed = (mask() & (np.arange(S)[:, None] < LENGTHS)).T
    want = softmax(scores, allowed)
    for shift in (2.0**20, -(2.0**20)):
        np.testing.assert_array_equal(softmax(scores + shift, allowed), want)
    assert np.isfinite(softmax(scores * 1e30, allowed)).all()


@EVERY_SCORE
def test_permuting_the_source_permutes_the_weights(kind):
    score, params, query, source, dcontext = case(kind)
    order = np.random.default_rng(4).permutation(S)
    one, other = (score.forward(PLAIN, params, query, s) for s in (source, source[order]))
    np.testing.assert_allclose(other.weights, one.weights[:, :, order], rtol=1e-14)
    np.testing.assert_allclose(other.context, one.context, rtol=1e-13, atol=1e-15)
    found = [score.backward(r.tape, dcontext) for r in (one, other)]
    np.testing.assert_allclose(found[1].source, found[0].source[order], rtol=1e-11, atol=1e-15)


@EVERY_SCORE
def test_the_gradient_at_the_weights(kind):
    """From dweights alone, by the reference's complex step along a random direction."""
    score, params, query, source, _ = case(kind)
    rng = np.random.default_rng(8)
    dweights = rng.standard_normal((T, B, S))
    found = score.backward(score.forward(PLAIN, params, query, source).tape, None, dweights)
    along = {name: rng.standard_normal(p.shape) for name, p in params.items()}
    aq, asource = rng.standard_normal(query.shape), rng.standard_normal(source.shape)
    moved = {name: p + 1e-30j * along[name] for name, p in params.items()}
    want = sum(
        dweights[t, b]
        @ attend(kind, moved, (query + 1e-30j * aq)[t, b], (source + 1e-30j * asource)[:, b])[1]
        for t in range(T)
        for b in range(B)
    ).imag / 1e-30  # fmt: skip
    got = (found.query * aq).sum() + (found.source * asource).sum()
    got += sum((found.params[name] * a).sum() for name, a in along.items())
    assert got == pytest.approx(want, rel=1e-12)


@EVERY_SCORE
def test_a_tape_may_be_used_again_and_is_its_own(kind):
    score, params, query, source, dcontext = case(kind)
    result = score.forward(PLAIN, params, query, source, LENGTHS)
    first = score.backward(result.tape, dcontext)
    for array in (*params.values(), query, source):
        array[...] = np.nan
    second = score.backward(result.tape, dcontext)
    np.testing.assert_array_equal(first.query, second.query)
    np.testing.assert_array_equal(first.source, second.source)


@EVERY_SCORE
def test_a_description_makes_the_same(kind):
    data = attention_data(SCORES[kind][0])
    made = attention_from(data)
    assert type(made) is type(SCORES[kind][0]) and attention_data(made) == data


def calls(**change):
    score, params, query, source, _ = case("additive")
    given = {"params": params, "query": query, "source": source} | change
    return score.forward(PLAIN, **given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"query": np.zeros((T, B))}, "query has 2 dimensions"),
        ({"query": np.zeros((T, B + 1, Q))}, r"query has shape \(3, 5, 3\), source"),
        ({"source": np.zeros((0, B, K))}, "each at least 1"),
        ({"source": np.zeros((S, B, K), np.float32)}, "source has dtype float32"),
        ({"params": {}}, "parameter W is missing"),
        ({"params": {"nonsense": np.zeros(2)}}, "unknown parameter 'nonsense'"),
        ({"query": np.zeros((T, B, Q + 1))}, "parameter W has shape"),
        ({"source_lengths": np.array([5, 0, 3, 4])}, "sequence 1 has no source step"),
        ({"source_lengths": np.array([6, 1, 3, 4])}, "a length is 6"),
        ({"source_mask": np.zeros((S, B), bool)}, "sequence 0 has no source step"),
        ({"source_mask": np.ones((B, S), bool)}, r"source_mask is bool\(4, 5\)"),
        ({"source_mask": np.ones((S, B))}, "source_mask is float64"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message) as raised:
        calls(**change)
    assert "\n" not in str(raised.value)


def test_bad_kinds():
    with pytest.raises(InputError, match="size is 0"):
        Additive(0)
    _, _, query, source, _ = case("general")
    with pytest.raises(InputError, match="equal widths; the query has 3, the source 4"):
        Dot().forward(PLAIN, {}, query, source)
    result = calls()
    with pytest.raises(InputError, match="gradient context has shape"):
        SCORES["additive"][0].backward(result.tape, np.zeros((T, B, K + 1)))
    with pytest.raises(InputError, match="tape is a Tape"):
        Dot().backward(result.tape)
    with pytest.raises(InputError, match="unknown score 'Cosine'; allowed: Additive, Dot, General"):
        attention_from({"score": "Cosine"})
