"""Output heads: a linear layer and a loss at each step, or at each sequence's last one.

    logits = y weightᵀ + bias          y (T,B,H), weight (K,H), bias (K,)

    kind       loss of one scored step                           its label
    softmax    log Σ_k exp(logit_k) − logit_label                a class, 0 … K−1
    sigmoid    Σ_k log(1 + exp(logit_k)) − label_k logit_k       (K,) numbers in [0, 1]
    squared    ½ Σ_k (logit_k − label_k)²                        (K,) numbers

Both cross-entropies are computed from the logits, so that neither a large logit overflows nor
the logarithm of a tiny probability is taken (Bishop 2006, eqs. 4.108 and 4.90).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from rnnbench.checks import as_array, check_array, check_lengths
from rnnbench.errors import InputError, unknown

AT = ("every", "last")
REDUCTIONS = ("mean", "sum")


class HeadResult(NamedTuple):
    """loss, a scalar of y's dtype; dy (T,B,H), zero at every step not scored; dweight (K,H);
    dbias (K,)."""

    loss: np.floating
    dy: np.ndarray
    dweight: np.ndarray
    dbias: np.ndarray


def head_loss(
    kind: str,
    target,
    y: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    lengths=None,
    at: str = "every",
    reduction: str = "mean",
) -> HeadResult:
    """Loss of a sequence of outputs, and its gradients. Products go through ``target.matmul``.

    y (T,B,H), weight (K,H), bias (K,): all float32 or all float64.
    labels: softmax integers (T,B), or (B,) at="last"; sigmoid and squared (T,B,K), or (B,K)
    at="last", of y's dtype.
    lengths (B,): 0 to T; steps past the end and their labels are never looked at.
    at: score "every" valid step or each sequence's "last" valid one.
    reduction: "mean" over the scored steps (not over K), or "sum".
    InputError for anything else, also where there is no valid step.
    """
    for name, value, allowed in (
        ("kind", kind, tuple(LOSSES)),
        ("at", at, AT),
        ("reduction", reduction, REDUCTIONS),
    ):
        if value not in allowed:
            raise unknown(name, value, allowed)
    y, weight, bias = check_head(y, weight, bias)
    T, B, H = y.shape
    steps, sequences = scored_steps(check_lengths(lengths, T, B), T, at)
    places = (steps, sequences) if at == "every" else (sequences,)
    shape = (T, B) if at == "every" else (B,)
    labels = check_labels(kind, labels, shape, places, len(bias), y.dtype)

    count = len(steps)
    rows = y.reshape(T * B, H) if count == T * B else y[steps, sequences]
    loss, dlogits = LOSSES[kind](target.matmul(rows, weight.T) + bias, labels)
    # a sum of thousands of float32 terms keeps their precision only in float64
    total = loss.sum(dtype=np.float64)
    if reduction == "mean":
        total /= count
        dlogits /= count
    dy = np.zeros_like(y)
    dy[steps, sequences] = target.matmul(dlogits, weight)
    return HeadResult(
        y.dtype.type(total),
        dy,
        target.matmul(dlogits.T, rows),
        dlogits.sum(axis=0, dtype=np.float64).astype(y.dtype),
    )


# Each takes logits (N,K) and labels, and returns the losses, to be summed, and dlogits (N,K).


def softmax_loss(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    totals = powers.sum(axis=1)
    rows = np.arange(len(labels))
    dlogits = powers / totals[:, None]
    dlogits[rows, labels] -= 1
    return np.log(totals) - shifted[rows, labels], dlogits


def sigmoid_loss(logits, labels):
    # log(1+exp(z)) − label·z with the large parts cancelled before they round
    loss = np.maximum(logits, 0) - labels * logits + np.log1p(np.exp(-np.abs(logits)))
    return loss, expit(logits) - labels


def squared_loss(logits, labels):
    error = logits - labels
    return np.square(error) / 2, error


LOSSES = {"softmax": softmax_loss, "sigmoid": sigmoid_loss, "squared": squared_loss}


def scored_steps(lengths: np.ndarray, T: int, at: str) -> tuple[np.ndarray, np.ndarray]:
    """Time and sequence indices of the scored steps, in time order."""
    if at == "every":
        steps, sequences = np.nonzero(np.arange(T)[:, None] < lengths)
    else:
        sequences = np.flatnonzero(lengths > 0)
        steps = lengths[sequences] - 1
    if not len(steps):
        raise InputError("every length is 0; needs at least one valid step to score")
    return steps, sequences


def check_head(y, weight, bias) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three arrays, of one dtype and of shapes that fit."""
    y = check_array("y", y, 3)
    weight, bias = check_array("weight", weight, 2), check_array("bias", bias, 1)
    for name, array in (("weight", weight), ("bias", bias)):
        if array.dtype != y.dtype:
            raise InputError(f"{name} is {array.dtype}, y is {y.dtype}; give one dtype")
    if 0 in y.shape or not len(bias):
        raise InputError(f"y has shape {y.shape}, bias {bias.shape}; each size must be at least 1")
    if weight.shape != (len(bias), y.shape[2]):
        raise InputError(f"weight has shape {weight.shape}; needs (K, H) {(len(bias), y.shape[2])}")
    return y, weight, bias


def check_labels(kind: str, labels, shape: tuple, places: tuple, K: int, dtype) -> np.ndarray:
    """The scored steps' labels, (N,) for softmax and (N,K) else; the others are not looked at."""
    labels = as_array("labels", labels)
    shape = shape if kind == "softmax" else (*shape, K)
    if kind == "softmax" and labels.dtype.kind not in "iu":
        raise InputError(f"labels have dtype {labels.dtype}; softmax needs integers")
    if kind != "softmax" and labels.dtype != dtype:
        raise InputError(f"labels have dtype {labels.dtype}; {kind} needs {dtype} as y has")
    if labels.shape != shape:
        raise InputError(f"labels have shape {labels.shape}; needs {shape}")
    labels = labels[places]
    top = {"softmax": K - 1, "sigmoid": 1}.get(kind)
    if top is not None:
        bad = labels[(labels < 0) | (labels > top)]
        if bad.size:
            raise InputError(f"a label is {bad[0]}; {kind} allows 0 to {top}")
    return labels
