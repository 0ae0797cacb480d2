"""Linear output layer and loss, forward and gradient.

    logits = y weightᵀ + bias            y (T,B,H), weight (K,H), bias (K,)

kind        loss of one scored step                                     labels at that step
"softmax"   log sum_k exp(logit_k) - logit_label                        integer in 0..K-1
"sigmoid"   sum_k log(1 + exp(logit_k)) - label_k logit_k               (K,) numbers
"squared"   sum_k (logit_k - label_k)² / 2                              (K,) numbers
Bishop, "Pattern Recognition and Machine Learning" 2006, eqs. 4.108, 4.90 and 3.12; the first two
are written from the logits, so that neither a probability's log nor an exp overflows.
"""

from typing import Any, NamedTuple

import numpy as np

from . import checks
from .functions import exp, log, shift_to_max, sigmoid, softplus, zeros_like_type

KINDS = ("softmax", "sigmoid", "squared")


class HeadResult(NamedTuple):
    """loss (a scalar of y's number type), dy (T,B,H), dweight (K,H), dbias (K,)."""

    loss: Any
    dy: np.ndarray
    dweight: np.ndarray
    dbias: np.ndarray


def head_loss(
    kind: str,
    y: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    lengths: np.ndarray | None = None,
    at: str = "every",
    reduction: str = "mean",
) -> HeadResult:
    """Loss of a sequence of outputs y (T,B,H), and its gradients.

    labels     softmax: integers (T,B), or (B,) where at="last";
               sigmoid, squared: (T,B,K), or (B,K) where at="last", of y's dtype
    lengths    (B,) integers in 0..T; None: all T. Steps past the end are not scored and labels
               there are not looked at; a sequence of length 0 contributes nothing.
    at         "every" valid step is scored, or only the "last" valid one of each sequence
    reduction  "mean" over the scored steps, or "sum"
    Raises ValueError, also where nothing is scored.
    """
    checks.one_of("kind", kind, KINDS)
    checks.one_of("at", at, ("every", "last"))
    checks.one_of("reduction", reduction, ("mean", "sum"))
    y = checks.time_major("y", y, "T, B, H")
    T, B, H = y.shape
    bias = checks.number_array("bias", bias)
    if bias.ndim != 1 or bias.size == 0:
        raise ValueError(f"bias: shape {bias.shape}, expected (K,), K at least 1")
    K = bias.size
    bias = checks.array_like("bias", bias, (K,), y)
    weight = checks.array_like("weight", weight, (K, H), y)
    lengths = checks.sequence_lengths(lengths, T, B)

    # every scored step as a pair (t, b), and its place in the labels
    if at == "every":
        t, b = np.nonzero(np.arange(T)[:, None] < lengths)
        where, label_shape = (t, b), (T, B)
    else:
        b = np.flatnonzero(lengths > 0)
        t, where, label_shape = lengths[b] - 1, (b,), (B,)
    if not b.size:
        raise ValueError("lengths: all 0, expected at least one valid step to score")
    if kind == "softmax":
        scored = _class_labels(labels, label_shape, where, K)
    else:
        scored = checks.array_like("labels", labels, (*label_shape, K), y)[where]

    outputs = y[t, b]
    logits = outputs @ weight.T + bias
    loss, dlogits = _LOSSES[kind](logits, scored)
    if reduction == "mean":
        loss, dlogits = loss / b.size, dlogits / b.size
    dy = zeros_like_type(y.shape, y)
    dy[t, b] = dlogits @ weight
    return HeadResult(loss, dy, dlogits.T @ outputs, dlogits.sum(axis=0))


def _class_labels(labels, shape: tuple[int, ...], where, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels: dtype {labels.dtype}, expected integers for softmax")
    if labels.shape != shape:
        raise ValueError(f"labels: shape {labels.shape}, expected {shape}")
    scored = labels[where]
    if (scored < 0).any() or (scored >= classes).any():
        raise ValueError(f"labels: {scored.min()}..{scored.max()}, expected 0..{classes - 1}")
    return scored


# Each takes logits (N,K) and labels, and returns the summed loss and its gradient (N,K).


def _softmax(logits, labels):
    shifted = shift_to_max(logits)
    powers = exp(shifted)
    totals = powers.sum(axis=1)
    every = np.arange(len(labels))
    dlogits = powers / totals[:, None]
    dlogits[every, labels] = dlogits[every, labels] - 1
    return (log(totals) - shifted[every, labels]).sum(), dlogits


def _sigmoid(logits, labels):
    return (softplus(logits) - labels * logits).sum(), sigmoid(logits) - labels


def _squared(logits, labels):
    error = logits - labels
    return (error * error).sum() / 2, error


_LOSSES = {"softmax": _softmax, "sigmoid": _sigmoid, "squared": _squared}
