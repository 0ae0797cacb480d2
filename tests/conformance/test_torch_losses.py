"""Losses, embeddings and clipping against PyTorch's, in float64: values and autograd's gradients.

Where they have no such reduction, their losses of the steps one by one are reduced here.
"""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.gradients.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from rnnbench.layers.embedding import embed, embed_backward
from rnnbench.layers.heads import head_loss
from rnnbench.layers.losses import REDUCTIONS, loss_on_logits

torch = pytest.importorskip("torch")
functional = torch.nn.functional

T, B, H, K = 6, 5, 4, 3
LENGTHS = np.array([4, 6, 1, 0, 3])
PADDING = np.arange(T)[:, None] >= LENGTHS
KINDS = ("softmax", "sigmoid", "squared")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
# A few hundred terms of order one.
TOLERANCE = {"rtol": 1e-13, "atol": 1e-14}


def labels_of(kind, seed=1):
    rng = np.random.default_rng(seed)
    if kind == "softmax":
        return rng.integers(0, K, (T, B))
    return rng.uniform(0, 1, (T, B, K))


def logits_of(seed=0):
    return 4 * np.random.default_rng(seed).standard_normal((T, B, K))


def each_step(kind, logits, labels):
    """(T,B) tensor of their losses, and the labels' padding of no importance."""
    target = torch.tensor(labels)
    if kind == "softmax":
        return functional.cross_entropy(logits.movedim(2, 1), target, reduction="none")
    if kind == "sigmoid":
        loss = functional.binary_cross_entropy_with_logits
        return loss(logits, target, reduction="none").sum(dim=2)
    return functional.mse_loss(logits, target, reduction="none").sum(dim=2) / 2


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_with_padding_to_be_ignored(reduction):
    """Their ignore_index is our padding: in value, in gradient, and in what is averaged over."""
    logits, labels = logits_of(), labels_of("softmax")
    ours = loss_on_logits("softmax", logits, labels, LENGTHS, "every", reduction)
    leaf = torch.tensor(logits, requires_grad=True)
    target = torch.tensor(np.where(PADDING, -100, labels)).reshape(-1)
    theirs = functional.cross_entropy(leaf.reshape(-1, K), target, reduction=reduction)
    theirs.backward()
    np.testing.assert_allclose(ours.loss, theirs.item(), **TOLERANCE)
    np.testing.assert_allclose(ours.dlogits, leaf.grad.numpy(), **TOLERANCE)


def reduced(losses, weights, reduction):
    """By the words of ``losses``: each sequence summed or averaged, then the batch."""
    weights = torch.tensor(np.where(PADDING, 0, weights))
    sums, totals = (losses * weights).sum(dim=0), weights.sum(dim=0)
    there = totals > 0
    if reduction == "mean":
        return sums.sum() / totals.sum()
    if reduction in ("steps", "sequence"):
        sums = sums[there] / totals[there]
    return sums.sum() / there.sum() if reduction in ("batch", "sequence") else sums.sum()


@EVERY_KIND
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_every_reduction_through_a_linear_head(kind, reduction, weighted):
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(shape) for shape in [(T, B, H), (K, H), (K,)]]
    labels, weights = labels_of(kind), None
    if weighted:
        weights = rng.uniform(0.5, 2, (T, B))
        weights[1, 0] = weights[:, 2] = 0
    ours = head_loss(
        kind, get_target("plain"), *arrays, labels, LENGTHS, "every", reduction, weights
    )
    y, weight, bias = (torch.tensor(a, requires_grad=True) for a in arrays)
    losses = each_step(kind, functional.linear(y, weight, bias), labels)
    theirs = reduced(losses, np.ones((T, B)) if weights is None else weights, reduction)
    theirs.backward()
    np.testing.assert_allclose(ours.loss, theirs.item(), **TOLERANCE)
    for got, leaf in ((ours.dy, y), (ours.dweight, weight), (ours.dbias, bias)):
        np.testing.assert_allclose(got, leaf.grad.numpy(), **TOLERANCE)


@EVERY_KIND
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_large_logits(kind, size):
    """Where an exp of the logit itself would overflow, too."""
    logits, labels = size * logits_of(3), labels_of(kind, 4)
    ours = loss_on_logits(kind, logits, labels, None, "every", "sum")
    leaf = torch.tensor(logits, requires_grad=True)
    theirs = each_step(kind, leaf, labels).sum()
    theirs.backward()
    assert np.isfinite(ours.loss)
    np.testing.assert_allclose(ours.loss, theirs.item(), rtol=1e-13)
    np.testing.assert_allclose(ours.dlogits, leaf.grad.numpy(), **TOLERANCE)


@EVERY_KIND
def test_many_to_one(kind):
    logits, labels = logits_of(5), labels_of(kind, 6)
    rows = np.flatnonzero(LENGTHS)
    last = np.maximum(LENGTHS - 1, 0), np.arange(B)
    ours = loss_on_logits(kind, logits, labels[last], LENGTHS, "last", "mean")
    leaf = torch.tensor(logits, requires_grad=True)
    theirs = each_step(kind, leaf, labels)[last[0][rows], rows].mean()
    theirs.backward()
    np.testing.assert_allclose(ours.loss, theirs.item(), **TOLERANCE)
    np.testing.assert_allclose(ours.dlogits, leaf.grad.numpy(), **TOLERANCE)


def test_embedding_with_a_padding_token():
    """Their padding_idx has no gradient; ours is never looked at."""
    rng = np.random.default_rng(7)
    table, dx = rng.standard_normal((4, H)), rng.standard_normal((T, B, H))
    tokens = rng.integers(0, 4, (T, B))
    leaf = torch.tensor(np.concatenate([table, np.zeros((1, H))]), requires_grad=True)
    padded = torch.tensor(np.where(PADDING, 4, tokens))
    theirs = functional.embedding(padded, leaf, padding_idx=4)
    (theirs * torch.tensor(dx)).sum().backward()
    np.testing.assert_array_equal(embed(table, tokens, LENGTHS), theirs.detach().numpy())
    got = embed_backward(table, tokens, dx, LENGTHS)
    np.testing.assert_allclose(got, leaf.grad.numpy()[:4], **TOLERANCE)


@pytest.mark.parametrize("limit", [0.3, 50.0])
def test_clipping(limit):
    """They divide by norm + 1e-6."""
    rng = np.random.default_rng(8)
    grads = {name: rng.standard_normal(s) for name, s in [("W", (5, 3)), ("b", (7,))]}

    def theirs(names, clip):
        leaves = [torch.zeros(grads[n].shape, dtype=torch.float64) for n in names]
        for leaf, name in zip(leaves, names, strict=True):
            leaf.grad = torch.tensor(grads[name])
        norm = clip(leaves, limit)
        return {n: leaf.grad.numpy() for n, leaf in zip(names, leaves, strict=True)}, norm

    utilities = torch.nn.utils
    want, norm = theirs(["W", "b"], utilities.clip_grad_norm_)
    got, ours = clip_by_global_norm(grads, limit)
    assert ours == pytest.approx(norm.item(), rel=1e-14)
    for name in grads:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5)
        np.testing.assert_array_equal(
            clip_by_value(grads, limit)[name],
            theirs([name], utilities.clip_grad_value_)[0][name],
        )
        alone, norm = theirs([name], utilities.clip_grad_norm_)
        np.testing.assert_allclose(clip_by_norm(grads, limit)[0][name], alone[name], rtol=1e-5)
        assert clip_by_norm(grads, limit)[1][name] == pytest.approx(norm.item(), rel=1e-14)
