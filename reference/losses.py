"""Losses on logits, of a linear output layer or given as they are: forward and gradient.

    logits = y weightᵀ + bias            y (T,B,H), weight (K,H), bias (K,)

kind        loss of one scored step                                     labels at that step
"softmax"   log sum_k exp(logit_k) - logit_label                        integer in 0..K-1
"sigmoid"   sum_k log(1 + exp(logit_k)) - label_k logit_k               (K,) numbers
"squared"   sum_k (logit_k - label_k)² / 2                              (K,) numbers
Bishop, "Pattern Recognition and Machine Learning" 2006, eqs. 4.108, 4.90 and 3.12; the first two
are written from the logits, so that neither a probability's log nor an exp overflows.

Every scored step has a weight w, 1 unless given; w_b is the sum of sequence b's.
reduction    loss
"sum"        sum_b sum_t w l
"mean"       (sum_b sum_t w l) / (sum_b w_b)
"steps"      sum_b (sum_t w l) / w_b
"batch"      mean_b sum_t w l
"sequence"   mean_b (sum_t w l) / w_b
mean_b is over the sequences that have a scored step.
"""

from typing import Any, NamedTuple

import numpy as np

from . import checks
from .functions import exp, log, shift_to_max, sigmoid, softplus, zeros_like_type

KINDS = ("softmax", "sigmoid", "squared")
REDUCTIONS = ("mean", "sum", "batch", "steps", "sequence")


class HeadResult(NamedTuple):
    """loss (a scalar of y's number type), dy (T,B,H), dweight (K,H), dbias (K,)."""

    loss: Any
    dy: np.ndarray
    dweight: np.ndarray
    dbias: np.ndarray


class LossResult(NamedTuple):
    """loss (a scalar of the logits' number type), dlogits (T,B,K)."""

    loss: Any
    dlogits: np.ndarray


def head_loss(
    kind: str,
    y: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    lengths: np.ndarray | None = None,
    at: str = "every",
    reduction: str = "mean",
    weights: np.ndarray | None = None,
) -> HeadResult:
    """Loss of a sequence of outputs y (T,B,H), and its gradients; the rest as of `loss_on_logits`.
    Raises ValueError, also where nothing is scored."""
    y = checks.time_major("y", y, "T, B, H")
    bias = checks.number_array("bias", bias)
    if bias.ndim != 1 or bias.size == 0:
        raise ValueError(f"bias: shape {bias.shape}, expected (K,), K at least 1")
    K = bias.size
    bias = checks.array_like("bias", bias, (K,), y)
    weight = checks.array_like("weight", weight, (K, y.shape[2]), y)
    t, b, chosen, shares = _scored(kind, labels, K, y, lengths, at, reduction, weights)

    outputs = y[t, b]
    loss, dlogits = _reduced(kind, outputs @ weight.T + bias, chosen, shares)
    dy = zeros_like_type(y.shape, y)
    dy[t, b] = dlogits @ weight
    return HeadResult(loss, dy, dlogits.T @ outputs, dlogits.sum(axis=0))


def loss_on_logits(
    kind: str,
    logits: np.ndarray,
    labels: np.ndarray,
    lengths: np.ndarray | None = None,
    at: str = "every",
    reduction: str = "mean",
    weights: np.ndarray | None = None,
) -> LossResult:
    """Loss of a sequence of logits (T,B,K), and its gradient.

    labels     softmax: integers (T,B), or (B,) where at="last";
               sigmoid, squared: (T,B,K), or (B,K) where at="last", of the logits' dtype
    lengths    (B,) integers in 0..T; None: all T. Steps past the end are not scored and labels
               there are not looked at; a sequence of length 0 contributes nothing.
    at         "every" valid step is scored, or only the "last" valid one of each sequence
    reduction  see above
    weights    (T,B), or (B,) where at="last": floats of at least 0, or bools. A step of weight 0
               is not scored.
    Raises ValueError, also where nothing is scored.
    """
    logits = checks.time_major("logits", logits, "T, B, K")
    t, b, chosen, shares = _scored(
        kind, labels, logits.shape[2], logits, lengths, at, reduction, weights
    )
    loss, rows = _reduced(kind, logits[t, b], chosen, shares)
    dlogits = zeros_like_type(logits.shape, logits)
    dlogits[t, b] = rows
    return LossResult(loss, dlogits)


def _scored(kind, labels, K, like, lengths, at, reduction, weights):
    """Of every scored step: its t, its b, its label, and the pair (weight, divisor) that the
    reduction gives its loss."""
    checks.one_of("kind", kind, KINDS)
    checks.one_of("at", at, ("every", "last"))
    checks.one_of("reduction", reduction, REDUCTIONS)
    T, B, _ = like.shape
    lengths = checks.sequence_lengths(lengths, T, B)
    shape = (T, B) if at == "every" else (B,)
    if weights is not None:
        weights = np.asarray(weights)
        if weights.dtype not in (*checks.FLOATS, np.dtype(bool)) or weights.shape != shape:
            raise ValueError(
                f"weights: {weights.dtype}{weights.shape}, expected floats or bools {shape}"
            )
    labels = np.asarray(labels)
    if kind != "softmax":
        labels = checks.array_like("labels", labels, (*shape, K), like)
    elif not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels: dtype {labels.dtype}, expected integers for softmax")
    elif labels.shape != shape:
        raise ValueError(f"labels: shape {labels.shape}, expected {shape}")

    steps = []  # (t, b, place in the labels, weight), in time order
    for t in range(T):
        for b in range(B):
            place = (t, b) if at == "every" else (b,)
            if t < lengths[b] and (at == "every" or t == lengths[b] - 1):
                weight = 1 if weights is None else float(weights[place])
                if not 0 <= weight < np.inf:
                    raise ValueError(f"weights: {weight}, expected finite numbers of at least 0")
                if weight:
                    steps.append((t, b, place, weight))
    if not lengths.any():
        raise ValueError("lengths: all 0, expected at least one valid step to score")
    if not steps:
        raise ValueError("weights: all 0, expected at least one step to score")
    chosen = np.array([labels[place] for _, _, place, _ in steps])
    if kind == "softmax" and not (chosen.min() >= 0 and chosen.max() < K):
        raise ValueError(f"labels: {chosen.min()}..{chosen.max()}, expected 0..{K - 1}")

    of_sequence = {}
    for _, b, _, weight in steps:
        of_sequence[b] = of_sequence.get(b, 0) + weight
    count, total = len(of_sequence), sum(of_sequence.values())
    shares = []
    for _, b, _, weight in steps:
        divisors = {
            "sum": 1,
            "mean": total,
            "steps": of_sequence[b],
            "batch": count,
            "sequence": count * of_sequence[b],
        }
        shares.append((weight, divisors[reduction]))
    return [s[0] for s in steps], [s[1] for s in steps], chosen, shares


def _reduced(kind, logits, labels, shares):
    """The loss, and its gradient at the scored steps' logits (N,K)."""
    losses, dlogits = _LOSSES[kind](logits, labels)
    loss = sum(one * w / divisor for one, (w, divisor) in zip(losses, shares, strict=True))
    rows = [row * w / divisor for row, (w, divisor) in zip(dlogits, shares, strict=True)]
    return loss, np.stack(rows)


# Each takes logits (N,K) and labels, and returns the losses (N,) and their gradient (N,K).


def _softmax(logits, labels):
    shifted = shift_to_max(logits)
    powers = exp(shifted)
    totals = powers.sum(axis=1)
    every = np.arange(len(labels))
    dlogits = powers / totals[:, None]
    dlogits[every, labels] = dlogits[every, labels] - 1
    return log(totals) - shifted[every, labels], dlogits


def _sigmoid(logits, labels):
    return (softplus(logits) - labels * logits).sum(axis=1), sigmoid(logits) - labels


def _squared(logits, labels):
    error = logits - labels
    return (error * error).sum(axis=1) / 2, error


_LOSSES = {"softmax": _softmax, "sigmoid": _sigmoid, "squared": _squared}
