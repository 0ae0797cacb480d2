"""Output heads, chunked backpropagation and clipping of the reference."""

import flint
import numpy as np
import pytest

import rnnbench_reference as ref

T, B, H, K = 5, 4, 7, 3
LENGTHS = np.array([3, 1, 5, 0])
KINDS = ("softmax", "sigmoid", "squared")
STEP = 1e-30


def head_case(kind, at, seed=0):
    rng = np.random.default_rng(seed)
    y, weight, bias = (rng.standard_normal(s) for s in [(T, B, H), (K, H), (K,)])
    shape = (T, B) if at == "every" else (B,)
    labels = {
        "softmax": rng.integers(0, K, shape),
        "sigmoid": rng.integers(0, 2, (*shape, K)).astype(float),
        "squared": rng.standard_normal((*shape, K)),
    }[kind]
    return [y, weight, bias], labels


def naive_loss(kind, y, weight, bias, labels, at, reduction):
    """Straight from the definitions, one step at a time, probabilities and all."""
    losses = []
    for b, n in enumerate(LENGTHS):
        for t in range(n) if at == "every" else range(max(n - 1, 0), n):
            label = labels[t, b] if at == "every" else labels[b]
            logits = weight @ y[t, b] + bias
            if kind == "softmax":
                losses.append(-np.log(np.exp(logits[label]) / np.exp(logits).sum()))
            elif kind == "sigmoid":
                p = 1 / (1 + np.exp(-logits))
                losses.append(-(label * np.log(p) + (1 - label) * np.log(1 - p)).sum())
            else:
                losses.append(0.5 * ((logits - label) ** 2).sum())
    return sum(losses) / (len(losses) if reduction == "mean" else 1)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("at", ["every", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_head_against_definition_and_complex_step(kind, at, reduction):
    arrays, labels = head_case(kind, at)
    got = ref.head_loss(kind, *arrays, labels, LENGTHS, at, reduction)
    assert got.loss == pytest.approx(naive_loss(kind, *arrays, labels, at, reduction), rel=1e-13)
    for which, gradient in enumerate([got.dy, got.dweight, got.dbias]):
        stepped = [a.astype(complex) for a in arrays]
        soft = labels if kind == "softmax" else labels.astype(complex)
        want = np.empty(gradient.shape)
        for index in np.ndindex(want.shape):
            stepped[which][index] += 1j * STEP
            loss = ref.head_loss(kind, *stepped, soft, LENGTHS, at, reduction).loss
            want[index] = loss.imag / STEP
            stepped[which][index] = stepped[which][index].real
        np.testing.assert_allclose(gradient, want, rtol=1e-13, atol=1e-14 * np.abs(want).max())
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(gradient * 1.001, want, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_head_in_balls_and_in_float32(kind, to_balls):
    arrays, labels = head_case(kind, "every")
    got = ref.head_loss(kind, *arrays, labels, LENGTHS)
    with flint.ctx.workprec(53):
        soft = labels if kind == "softmax" else to_balls(labels)
        balls = ref.head_loss(kind, *map(to_balls, arrays), soft, LENGTHS)
    assert abs(float(got.loss) - balls.loss.mid()) <= 4 * balls.loss.rad()
    for floats, ball in zip(got[1:], balls[1:], strict=True):
        for f, b in zip(floats.flat, ball.flat, strict=True):
            assert abs(flint.arb(float(f)) - b.mid()) <= 4 * b.rad()
    soft = labels if kind == "softmax" else labels.astype(np.float32)
    single = ref.head_loss(kind, *(a.astype(np.float32) for a in arrays), soft, LENGTHS)
    assert all(np.asarray(part).dtype == np.float32 for part in single)
    assert single.loss == pytest.approx(got.loss, rel=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_head_is_stable_for_large_logits(kind):
    (y, _, bias), labels = head_case(kind, "every")
    weight = np.full((K, H), 0.0)
    weight[0] = 1e4
    with np.errstate(all="raise", under="ignore"):
        got = ref.head_loss(kind, y, weight, bias, labels, LENGTHS)
    assert all(np.isfinite(part).all() for part in got)


@pytest.mark.parametrize("at", ["every", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_head_does_not_look_at_padding(kind, at):
    (y, weight, bias), labels = head_case(kind, at)
    clean = ref.head_loss(kind, y, weight, bias, labels, LENGTHS, at)
    padding = np.arange(T)[:, None] >= LENGTHS
    y[padding] = np.nan
    unused = padding if at == "every" else LENGTHS == 0
    labels[unused] = -99 if kind == "softmax" else np.nan
    dirty = ref.head_loss(kind, y, weight, bias, labels, LENGTHS, at)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not dirty.dy[padding].any()


def test_last_is_every_with_all_but_the_last_step_dropped():
    (y, weight, bias), labels = head_case("squared", "every")
    last = ref.head_loss("squared", y, weight, bias, labels[-1], at="last", reduction="sum")
    tail = ref.head_loss("squared", y[-1:], weight, bias, labels[-1:], reduction="sum")
    assert last.loss == tail.loss
    np.testing.assert_array_equal(last.dy[-1:], tail.dy)


def test_head_refuses():
    (y, weight, bias), labels = head_case("softmax", "every")
    for args, message in [
        (("hinge", y, weight, bias, labels), "kind: 'hinge', allowed: softmax, sigmoid, squared"),
        (("softmax", y[0], weight, bias, labels), r"y: shape \(4, 7\), expected \(T, B, H\)"),
        (("softmax", y, weight.T, bias, labels), r"weight: shape \(7, 3\), expected \(3, 7\)"),
        (("softmax", y, weight, bias[:0], labels), r"bias: shape \(0,\)"),
        (("softmax", y, weight, bias, labels + 0.5), "labels: dtype float64, expected integers"),
        (("softmax", y, weight, bias, labels[0]), r"labels: shape \(4,\), expected \(5, 4\)"),
        (("softmax", y, weight, bias, labels + 1), r"labels: 1..3, expected 0..2"),
        (("sigmoid", y, weight, bias, labels), "labels: dtype int64, allowed"),
        (("softmax", y, weight, bias, labels, [0] * B), "lengths: all 0, expected at least one"),
        (("softmax", y, weight, bias, labels, None, "first"), "at: 'first', allowed: every, last"),
        (("softmax", y, weight, bias, labels, None, "every", "max"), "reduction: 'max', allowed"),
    ]:
        with pytest.raises(ValueError, match=message) as failure:
            ref.head_loss(*args)
        assert "\n" not in str(failure.value)
