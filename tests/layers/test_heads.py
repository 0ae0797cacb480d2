"""Output heads against the reference, finite differences and identities between routes."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import rnnbench_reference as reference
from rnnbench import cell_names, get_cell, get_target
from rnnbench.errors import InputError
from rnnbench.layers.heads import head_loss
from rnnbench.params import random_case

T, B, H, K = 5, 4, 7, 3
LENGTHS = np.array([3, 1, 5, 0])
EVERY_HEAD = pytest.mark.parametrize("kind", ["softmax", "sigmoid", "squared"])
EVERY_PLACE = pytest.mark.parametrize("at", ["every", "last"])
EVERY_REDUCTION = pytest.mark.parametrize("reduction", ["mean", "sum"])


@pytest.fixture(params=["reference", "cpu"])
def target(request):
    return get_target(request.param)


def head_case(kind, at="every", dtype=np.float64, seed=0):
    """y, weight, bias, labels."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(s).astype(dtype) for s in [(T, B, H), (K, H), (K,)]]
    shape = (T, B) if at == "every" else (B,)
    labels = {
        "softmax": rng.integers(0, K, shape),
        "sigmoid": rng.uniform(0, 1, (*shape, K)).astype(dtype),
        "squared": rng.standard_normal((*shape, K)).astype(dtype),
    }[kind]
    return [*arrays, labels]


def assert_close(got, want, rtol):
    for name in ("loss", "dy", "dweight", "dbias"):
        g, w = getattr(got, name), getattr(want, name)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol * np.abs(w).max(), err_msg=name)


@EVERY_HEAD
@EVERY_PLACE
@EVERY_REDUCTION
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_against_the_reference(kind, at, reduction, lengths, dtype, rtol, target):
    case = head_case(kind, at, dtype)
    got = head_loss(kind, target, *case, lengths, at, reduction)
    wide = [a.astype(np.float64) if a.dtype == dtype else a for a in case]
    assert_close(got, reference.head_loss(kind, *wide, lengths, at, reduction), rtol)
    assert {array.dtype for array in got} == {np.dtype(dtype)}


@EVERY_HEAD
@EVERY_PLACE
@EVERY_REDUCTION
def test_against_finite_differences(kind, at, reduction, target):
    *arrays, labels = head_case(kind, at)
    result = head_loss(kind, target, *arrays, labels, LENGTHS, at, reduction)
    for which, gradient in enumerate([result.dy, result.dweight, result.dbias]):

        def loss(flat, which=which):
            moved = [*arrays]
            moved[which] = flat.reshape(arrays[which].shape)
            return head_loss(kind, target, *moved, labels, LENGTHS, at, reduction).loss

        ahead, behind = (approx_fprime(arrays[which].ravel(), loss, e) for e in (1e-6, -1e-6))
        found = (ahead + behind).reshape(gradient.shape) / 2
        np.testing.assert_allclose(gradient, found, atol=1e-8 * max(1, np.abs(found).max()))


@EVERY_HEAD
def test_every_step_of_one_is_the_last_step(kind, target):
    """The last step's loss = every step's, less every step's but the last."""
    y, weight, bias, labels = head_case(kind)
    lengths = np.array([3, 1, 5, 2])
    final = labels[lengths - 1, np.arange(B)]
    last = head_loss(kind, target, y, weight, bias, final, lengths, "last", "sum")
    whole, but_last = (
        head_loss(kind, target, y, weight, bias, labels, n, "every", "sum")
        for n in (lengths, lengths - 1)
    )
    for got, a, b in zip(last, whole, but_last, strict=True):
        np.testing.assert_allclose(got, a - b, atol=1e-13)


@EVERY_HEAD
def test_the_last_output_is_the_final_state(kind, target):
    """Many-to-one through a cell: dy at the last valid steps, or the same numbers as dstate."""
    cell = cell_names()[0]
    case = random_case(cell, T=T, B=B, H=H)
    forward = target.forward(cell, case.params, case.x, case.state, LENGTHS)
    _, weight, bias, labels = head_case(kind, "last")
    dy = head_loss(kind, target, forward.y, weight, bias, labels, LENGTHS, "last").dy
    assert np.count_nonzero(dy.any(axis=2)) == np.count_nonzero(LENGTHS)
    through_y = target.backward(forward.tape, dy)
    final = {get_cell(cell).spec.output: dy.sum(axis=0)}
    through_state = target.backward(forward.tape, None, final)
    for name, g in through_state.params.items():
        np.testing.assert_allclose(through_y.params[name], g, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(through_y.x, through_state.x, rtol=1e-13, atol=1e-15)


@EVERY_HEAD
@EVERY_PLACE
@EVERY_REDUCTION
def test_padding_contributes_nothing(kind, at, reduction, target):
    y, weight, bias, labels = head_case(kind, at)
    clean = head_loss(kind, target, y, weight, bias, labels, LENGTHS, at, reduction)
    padding = np.arange(T)[:, None] >= LENGTHS
    y[padding] = np.nan
    nowhere = padding if at == "every" else LENGTHS == 0
    labels[nowhere] = -9 if kind == "softmax" else np.nan
    dirty = head_loss(kind, target, y, weight, bias, labels, LENGTHS, at, reduction)
    for got, want in zip(dirty, clean, strict=True):
        np.testing.assert_array_equal(got, want)
    assert not dirty.dy[padding].any()


@EVERY_HEAD
def test_mean_counts_valid_steps_only(kind, target):
    case = head_case(kind)
    total, mean = (head_loss(kind, target, *case, LENGTHS, "every", r) for r in ("sum", "mean"))
    for a, b in zip(total, mean, strict=True):
        np.testing.assert_allclose(a, LENGTHS.sum() * b, rtol=1e-14)


@EVERY_HEAD
def test_nan_in_a_scored_step_is_seen(kind, target):
    y, weight, bias, labels = head_case(kind)
    y[2, 0, 1] = np.nan
    result = head_loss(kind, target, y, weight, bias, labels, LENGTHS)
    assert np.isnan(result.loss)
    assert np.isnan(result.dy[2, 0]).all()
    assert np.isfinite(result.dy[1]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, 1e30])
def test_large_logits_stay_finite(dtype, size, target):
    y = np.array([[[size], [-size]]], dtype)
    weight, bias = np.array([[1.0], [-1.0]], dtype), np.zeros(2, dtype)
    right = head_loss("softmax", target, y, weight, bias, np.array([[0, 1]]))
    assert right.loss == 0
    wrong = head_loss("softmax", target, y, weight, bias, np.array([[1, 0]]))
    assert wrong.loss == pytest.approx(2 * size, rel=1e-6)
    labels = np.array([[[1, 0], [0, 1]]], dtype)
    right = head_loss("sigmoid", target, y, weight, bias, labels)
    assert right.loss == 0 and not right.dy.any()
    wrong = head_loss("sigmoid", target, y, weight, bias, 1 - labels)
    assert wrong.loss == pytest.approx(2 * size, rel=1e-6)


def test_a_sure_and_right_sigmoid_keeps_its_tiny_loss(target):
    y, weight, bias = np.full((1, 1, 1), 60.0), np.ones((1, 1)), np.zeros(1)
    result = head_loss("sigmoid", target, y, weight, bias, np.ones((1, 1, 1)))
    assert result.loss == pytest.approx(np.exp(-60.0), rel=1e-12)


@pytest.mark.parametrize(
    "kind, change, message",
    [
        ("hinge", {}, "unknown kind 'hinge'"),
        ("softmax", {"at": "first"}, "unknown at 'first'"),
        ("softmax", {"reduction": "max"}, "unknown reduction 'max'"),
        ("softmax", {"y": np.zeros((T, B))}, "y has 2 dimensions"),
        ("softmax", {"y": np.zeros((T, B, H), np.float32)}, "one dtype"),
        ("softmax", {"y": np.zeros((T, B, H), int)}, "y has dtype int64"),
        ("softmax", {"weight": np.zeros((K, H + 1))}, "weight has shape"),
        ("softmax", {"bias": np.zeros(K + 1)}, "weight has shape"),
        ("softmax", {"bias": np.zeros(0), "weight": np.zeros((0, H))}, "at least 1"),
        ("softmax", {"labels": np.zeros((T, B))}, "softmax needs integers"),
        ("softmax", {"labels": np.zeros((T, B), bool)}, "softmax needs integers"),
        ("softmax", {"labels": np.zeros(B, int)}, "labels have shape"),
        ("softmax", {"labels": np.full((T, B), K)}, "a label is 3; softmax allows 0 to 2"),
        ("softmax", {"labels": np.full((T, B), -1)}, "a label is -1"),
        ("softmax", {"at": "last"}, "labels have shape"),
        ("softmax", {"lengths": np.zeros(B, int)}, "every length is 0"),
        ("softmax", {"lengths": np.full(B, T + 1)}, "a length is 6"),
        ("softmax", {"lengths": np.full(B, 2.0)}, "lengths have dtype"),
        ("sigmoid", {"labels": np.full((T, B, K), 1.5)}, "a label is 1.5; sigmoid allows 0 to 1"),
        ("sigmoid", {"labels": np.zeros((T, B, K), int)}, "sigmoid needs float64"),
        ("squared", {"labels": np.zeros((T, B, K), np.float32)}, "squared needs float64"),
        ("squared", {"labels": np.zeros((T, B))}, "labels have shape"),
    ],
)
def test_bad_input(kind, change, message):
    y, weight, bias, labels = head_case(kind if kind in ("sigmoid", "squared") else "softmax")
    arguments = {"y": y, "weight": weight, "bias": bias, "labels": labels} | change
    with pytest.raises(InputError, match=message) as raised:
        head_loss(kind, get_target("reference"), **arguments)
    assert "\n" not in str(raised.value)
