"""Losses on logits, weights of steps, and what each reduction divides by."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import rnnbench_reference as reference
from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers import heads, losses
from rnnbench.layers.heads import head_loss
from rnnbench.layers.losses import REDUCTIONS, loss_on_logits
from rnnbench_reference.losses import loss_on_logits as reference_loss

T, B, H, K = 5, 4, 6, 3
LENGTHS = np.array([3, 1, 5, 0])
WHOLE = np.array([5, 5, 5, 5])
KINDS = ("softmax", "sigmoid", "squared")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
EVERY_PLACE = pytest.mark.parametrize("at", ["every", "last"])
EVERY_REDUCTION = pytest.mark.parametrize("reduction", REDUCTIONS)
EVERY_WEIGHT = pytest.mark.parametrize("weighting", ["none", "numbers", "mask"])
PLAIN = get_target("plain")


def logits_case(kind, at="every", dtype=np.float64, seed=0):
    """logits (T,B,K) and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((T, B, K)).astype(dtype)
    shape = (T, B) if at == "every" else (B,)
    labels = {
        "softmax": rng.integers(0, K, shape),
        "sigmoid": rng.uniform(0, 1, (*shape, K)).astype(dtype),
        "squared": rng.standard_normal((*shape, K)).astype(dtype),
    }[kind]
    return logits, labels


def some_weights(weighting, at="every", dtype=np.float64):
    """None, distinct numbers with a zero among them, or a mask."""
    if weighting == "none":
        return None
    shape = (T, B) if at == "every" else (B,)
    rng = np.random.default_rng(7)
    numbers = rng.uniform(0.5, 2, shape).astype(dtype)
    numbers[(1, 2) if at == "every" else 1] = 0
    mask = rng.integers(0, 3, shape) > 0
    mask[0] = True
    return numbers if weighting == "numbers" else mask


def head_arrays(dtype=np.float64):
    rng = np.random.default_rng(1)
    return [rng.standard_normal(s).astype(dtype) for s in [(T, B, H), (K, H), (K,)]]


def assert_close(got, want, rtol=1e-13):
    for name, g, w in zip(want._fields, got, want, strict=True):
        scale = np.abs(w).max()
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol * scale, err_msg=name)


def assert_same_bits(got, want):
    for name, g, w in zip(want._fields, got, want, strict=True):
        np.testing.assert_array_equal(g, w, err_msg=name)


# -- against the reference, and finite differences ------------------------------------------------


@EVERY_KIND
@EVERY_PLACE
@EVERY_REDUCTION
@EVERY_WEIGHT
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 4e-6)])
def test_against_the_reference(kind, at, reduction, weighting, dtype, rtol):
    logits, labels = logits_case(kind, at, dtype)
    weights = some_weights(weighting, at, dtype)
    got = loss_on_logits(kind, logits, labels, LENGTHS, at, reduction, weights)
    wide = [a.astype(np.float64) if a.dtype == dtype else a for a in (logits, labels)]
    assert_close(got, reference_loss(kind, *wide, LENGTHS, at, reduction, weights), rtol)
    assert {part.dtype for part in got} == {np.dtype(dtype)}

    y, weight, bias = head_arrays(dtype)
    head = head_loss(kind, PLAIN, y, weight, bias, labels, LENGTHS, at, reduction, weights)
    arrays = [a.astype(np.float64) for a in (y, weight, bias)]
    want = reference.head_loss(kind, *arrays, wide[1], LENGTHS, at, reduction, weights)
    assert_close(head, want, rtol)


@EVERY_KIND
@EVERY_PLACE
@EVERY_REDUCTION
@EVERY_WEIGHT
def test_against_finite_differences(kind, at, reduction, weighting):
    """Central differences, step 1e-6: truncation 1e-12, rounding 1e-16/1e-6."""
    logits, labels = logits_case(kind, at)
    rest = (labels, LENGTHS, at, reduction, some_weights(weighting, at))
    gradient = loss_on_logits(kind, logits, *rest).dlogits

    def loss(flat):
        return loss_on_logits(kind, flat.reshape(logits.shape), *rest).loss

    ahead, behind = (approx_fprime(logits.ravel(), loss, e) for e in (1e-6, -1e-6))
    found = (ahead + behind).reshape(gradient.shape) / 2
    np.testing.assert_allclose(gradient, found, atol=2e-9 * max(1, np.abs(found).max()))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(1.001 * gradient, found, atol=1e-9)


@EVERY_KIND
@EVERY_PLACE
@EVERY_REDUCTION
def test_a_head_of_the_identity_is_the_loss_on_its_input(kind, at, reduction):
    """Bit for bit: products with 1 and 0 round nothing."""
    logits, labels = logits_case(kind, at)
    weights = some_weights("numbers", at)
    rest = (labels, LENGTHS, at, reduction, weights)
    head = head_loss(kind, PLAIN, logits, np.eye(K), np.zeros(K), *rest)
    alone = loss_on_logits(kind, logits, *rest)
    assert head.loss == alone.loss
    np.testing.assert_array_equal(head.dy, alone.dlogits)


# -- what a reduction is ---------------------------------------------------------------------------


@EVERY_KIND
@EVERY_WEIGHT
def test_reductions_from_one_sequence_at_a_time(kind, weighting):
    """Each sequence alone, summed or averaged; then the batch of these."""
    logits, labels = logits_case(kind)
    weights = some_weights(weighting)

    def alone(b, reduction):
        only = slice(b, b + 1)
        w = None if weights is None else weights[:, only]
        part = loss_on_logits(
            kind, logits[:, only], labels[:, only], LENGTHS[only], "every", reduction, w
        )
        return part.loss, part.dlogits[:, 0]

    weight_of = np.ones((T, B)) if weights is None else weights.astype(float)
    have = [b for b in range(B) if weight_of[: LENGTHS[b], b].any()]
    total = sum(weight_of[: LENGTHS[b], b].sum() for b in have)
    want = {
        "sum": ("sum", 1),
        "batch": ("sum", len(have)),
        "steps": ("mean", 1),
        "sequence": ("mean", len(have)),
        "mean": ("sum", total),
    }
    for reduction, (inner, divisor) in want.items():
        got = loss_on_logits(kind, logits, labels, LENGTHS, "every", reduction, weights)
        parts = {b: alone(b, inner) for b in have}
        loss = sum(part[0] for part in parts.values()) / divisor
        assert got.loss == pytest.approx(loss, rel=1e-14)
        for b in have:
            np.testing.assert_allclose(got.dlogits[:, b], parts[b][1] / divisor, rtol=1e-13)


@EVERY_KIND
@EVERY_PLACE
def test_known_factors_where_lengths_are_equal(kind, at):
    logits, labels = logits_case(kind, at)
    found = {r: loss_on_logits(kind, logits, labels, WHOLE, at, r).loss for r in REDUCTIONS}
    steps = T if at == "every" else 1
    factors = {"sum": 1, "batch": B, "steps": steps, "sequence": B * steps, "mean": B * steps}
    for reduction, factor in factors.items():
        assert found[reduction] * factor == pytest.approx(found["sum"], rel=1e-14)


@EVERY_KIND
@EVERY_REDUCTION
def test_the_size_of_weights_counts_only_where_steps_are_summed(kind, reduction):
    logits, labels = logits_case(kind)
    weights = some_weights("numbers")
    one, four = (
        loss_on_logits(kind, logits, labels, LENGTHS, "every", reduction, c * weights)
        for c in (1, 4)
    )
    factor = 4 if reduction in ("sum", "batch") else 1
    assert_close(four, one._replace(loss=factor * one.loss, dlogits=factor * one.dlogits), 1e-14)


@EVERY_KIND
@EVERY_REDUCTION
def test_weights_of_one_change_nothing(kind, reduction):
    logits, labels = logits_case(kind)
    plain, ones, true = (
        loss_on_logits(kind, logits, labels, LENGTHS, "every", reduction, w)
        for w in (None, np.ones((T, B)), np.ones((T, B), bool))
    )
    assert_same_bits(ones, plain)
    assert_same_bits(true, plain)


@EVERY_KIND
@EVERY_REDUCTION
def test_many_to_one_is_many_to_many_with_one_hot_weights(kind, reduction):
    logits, labels = logits_case(kind)
    lengths = np.array([3, 1, 5, 2])
    place = (lengths - 1, np.arange(B))
    one_hot = np.zeros((T, B))
    one_hot[place] = 1
    every = loss_on_logits(kind, logits, labels, lengths, "every", reduction, one_hot)
    last = loss_on_logits(kind, logits, labels[place], lengths, "last", reduction)
    assert_close(every, last, 1e-15)


# -- what is not scored ----------------------------------------------------------------------------


@EVERY_KIND
@EVERY_PLACE
@EVERY_REDUCTION
@EVERY_WEIGHT
def test_what_is_not_scored_is_not_looked_at(kind, at, reduction, weighting):
    """NaN in its logits, no class as its label, a NaN as padding's weight: not a bit changes."""
    logits, labels = logits_case(kind, at)
    weights = some_weights(weighting, at)
    clean = loss_on_logits(kind, logits, labels, LENGTHS, at, reduction, weights)
    padding = np.arange(T)[:, None] >= LENGTHS
    if at == "last":
        padding = np.arange(T)[:, None] != LENGTHS - 1
    off = np.zeros_like(padding) if weights is None else np.broadcast_to(weights == 0, (T, B))
    logits[padding | off] = np.nan
    nowhere = padding | off if at == "every" else (LENGTHS == 0) | off[0]
    labels[nowhere] = -9 if kind == "softmax" else np.nan
    if weighting == "numbers":
        weights[padding if at == "every" else LENGTHS == 0] = np.nan
    dirty = loss_on_logits(kind, logits, labels, LENGTHS, at, reduction, weights)
    assert_same_bits(dirty, clean)
    assert not dirty.dlogits[padding | off].any()


@EVERY_KIND
@EVERY_PLACE
@EVERY_REDUCTION
@EVERY_WEIGHT
def test_empty_sequences_among_others_are_as_if_left_out(kind, at, reduction, weighting):
    """Bit for bit: nobody gets the label or the weight of another."""
    logits, labels = logits_case(kind, at)
    weights, lengths = some_weights(weighting, at), np.array([0, 3, 0, 5])
    got = loss_on_logits(kind, logits, labels, lengths, at, reduction, weights)
    there = lengths > 0

    def of(values):
        return values[:, there] if at == "every" else values[there]

    rest = lengths[there], at, reduction, None if weights is None else of(weights)
    want = loss_on_logits(kind, logits[:, there], of(labels), *rest)
    assert got.loss == want.loss
    np.testing.assert_array_equal(got.dlogits[:, there], want.dlogits)
    assert not got.dlogits[:, ~there].any()
    slow = reference_loss(kind, logits, labels, lengths, at, reduction, weights)
    assert_close(got, slow)


def count_padding(lengths, T, *rest):
    return original(np.full_like(lengths, T), T, *rest)


def ignore_weights(lengths, T, at, reduction, weights, dtype):
    return original(lengths, T, at, reduction, None, dtype)


def divide_by_all_steps(lengths, T, *rest):
    return original(lengths, T, *rest)._replace(divisor=T * len(lengths))


original = losses.scored_steps


@pytest.mark.parametrize("mistake", [count_padding, ignore_weights, divide_by_all_steps])
def test_planted_mistakes_are_caught(mistake, monkeypatch):
    def check():
        test_against_the_reference("squared", "every", "mean", "mask", np.float64, 1e-13)

    check()
    for module in (losses, heads):
        monkeypatch.setattr(module, "scored_steps", mistake)
    with pytest.raises(AssertionError):
        check()


# -- the losses themselves -------------------------------------------------------------------------


def test_softmax_does_not_see_a_shift():
    """Bit for bit where the shift itself does not round: logits are multiples of 2⁻²⁰."""
    logits, labels = logits_case("softmax")
    logits = np.round(logits * 2**20) / 2**20
    shift = np.random.default_rng(2).integers(-100, 100, (T, B, 1))
    rest = (labels, LENGTHS, "every", "sum")
    plain = loss_on_logits("softmax", logits, *rest)
    assert_same_bits(loss_on_logits("softmax", logits + shift, *rest), plain)
    uneven = shift * np.arange(K)
    assert loss_on_logits("softmax", logits + uneven, *rest).loss != plain.loss


@EVERY_REDUCTION
def test_gradient_rows_of_softmax_sum_to_zero(reduction):
    """To the rounding of K probabilities."""
    logits, labels = logits_case("softmax")
    weights = some_weights("numbers")
    found = loss_on_logits("softmax", 5 * logits, labels, LENGTHS, "every", reduction, weights)
    assert np.abs(found.dlogits.sum(axis=2)).max() < 1e-15
    assert np.abs(found.dlogits).max() > 0.01


def test_sigmoid_of_one_logit_is_softmax_of_zero_and_it():
    logits, labels = logits_case("sigmoid")
    z, classes = 3 * logits[:, :, :1], (labels[:, :, :1] > 0.5)
    pair = np.concatenate([np.zeros_like(z), z], axis=2)
    for reduction in REDUCTIONS:
        one = loss_on_logits("sigmoid", z, classes.astype(float), LENGTHS, "every", reduction)
        two = loss_on_logits(
            "softmax", pair, classes[:, :, 0].astype(int), LENGTHS, "every", reduction
        )
        assert one.loss == pytest.approx(two.loss, rel=1e-14)
        np.testing.assert_allclose(one.dlogits[:, :, 0], two.dlogits[:, :, 1], atol=2e-16)
        np.testing.assert_allclose(one.dlogits[:, :, 0], -two.dlogits[:, :, 0], atol=2e-16)


def test_squared_loss_is_the_distance():
    logits, labels = logits_case("squared")
    found = loss_on_logits("squared", logits, labels, None, "every", "sum")
    assert found.loss == pytest.approx(((logits - labels) ** 2).sum() / 2, rel=1e-14)
    np.testing.assert_array_equal(found.dlogits, logits - labels)


def test_any_layout_and_nothing_written_to():
    logits, labels = logits_case("sigmoid")
    weights = some_weights("numbers")
    kept = [a.copy() for a in (logits, labels, weights)]
    turned = np.asfortranarray(logits)
    rest = (labels, LENGTHS, "every", "sequence", weights)
    assert_same_bits(
        loss_on_logits("sigmoid", turned, *rest), loss_on_logits("sigmoid", logits, *rest)
    )
    for now, before in zip((logits, labels, weights), kept, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "hinge"}, "unknown kind 'hinge'"),
        ({"kind": np.zeros((2, 3, 4))}, r"unknown kind array\("),
        ({"at": np.zeros((2, 2))}, r"unknown at array\("),
        ({"reduction": ["mean"]}, r"unknown reduction \['mean'\]"),
        ({"at": "first"}, "unknown at 'first'"),
        ({"reduction": "max"}, "unknown reduction 'max'; allowed: mean, sum, batch, steps"),
        ({"logits": np.zeros((T, B))}, "logits has 2 dimensions"),
        ({"logits": np.zeros((T, 0, K))}, "logits have shape"),
        ({"logits": np.zeros((T, B, K), int)}, "logits has dtype int64"),
        ({"labels": np.zeros(B, int)}, "labels have shape"),
        ({"labels": np.full((T, B), K)}, "a label is 3"),
        ({"lengths": np.zeros(B, int)}, "every length is 0"),
        ({"weights": np.zeros((T, B))}, "every valid step's weight is 0"),
        ({"weights": np.zeros((T, B), bool)}, "every valid step's weight is 0"),
        ({"weights": np.ones(B)}, "weights have shape"),
        ({"weights": np.ones((T, B), int)}, "weights have dtype int64"),
        ({"weights": np.ones((T, B), np.float32)}, "weights have dtype float32"),
        ({"weights": np.full((T, B), -0.5)}, "a weight is -0.5"),
        ({"weights": np.full((T, B), np.nan)}, "a weight is nan"),
        ({"weights": np.full((T, B), np.inf)}, "a weight is inf"),
        ({"at": "last", "labels": np.zeros(B, int), "weights": np.ones((T, B))}, "weights have"),
    ],
)
def test_bad_input(change, message):
    logits, labels = logits_case("softmax")
    arguments = {"kind": "softmax", "logits": logits, "labels": labels} | change
    with pytest.raises(InputError, match=message) as raised:
        loss_on_logits(**arguments)
    assert "\n" not in str(raised.value)
