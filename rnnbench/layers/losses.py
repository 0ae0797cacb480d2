"""Losses on logits, and how the steps of a batch make one number.

    kind       loss ℓ of one scored step                         its label
    softmax    log Σ_k exp(logit_k) − logit_label                a class, 0 … K−1
    sigmoid    Σ_k log(1 + exp(logit_k)) − label_k logit_k       (K,) numbers in [0, 1]
    squared    ½ Σ_k (logit_k − label_k)²                        (K,) numbers

Both cross-entropies are computed from the logits, so that neither a large logit overflows nor
the logarithm of a tiny probability is taken (Bishop 2006, eqs. 4.108 and 4.90).

    loss = Σ_tb ω_tb ℓ_tb     over the scored steps t of sequences b, each of weight w_tb (or 1)

    reduction  ω_tb                      steps of a sequence     batch
    sum        w_tb                      summed                  summed
    batch      w_tb / S                  summed                  averaged
    steps      w_tb / Σ_t w_tb           averaged                summed
    sequence   w_tb / (S Σ_t w_tb)       averaged                averaged
    mean       w_tb / Σ_tb w_tb          all scored steps of the batch averaged at once

S: how many sequences have a scored step. A step past its sequence's end, or of weight 0, is not
scored: neither it nor its label is looked at.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from rnnbench.checks import as_array, check_array, check_lengths
from rnnbench.errors import InputError, unknown

AT = ("every", "last")
REDUCTIONS = ("mean", "sum", "batch", "steps", "sequence")


class LossResult(NamedTuple):
    """loss, a scalar of the logits' dtype; dlogits (T,B,K), zero at every step not scored."""

    loss: np.floating
    dlogits: np.ndarray


class Scored(NamedTuple):
    """The N scored steps, in time order: their indices; their places in the labels; ω is factor
    (N,), None for 1, over divisor."""

    steps: np.ndarray
    sequences: np.ndarray
    places: tuple[np.ndarray, ...]
    factor: np.ndarray | None
    divisor: float


def loss_on_logits(
    kind: str,
    logits: np.ndarray,
    labels: np.ndarray,
    lengths=None,
    at: str = "every",
    reduction: str = "mean",
    weights: np.ndarray | None = None,
) -> LossResult:
    """Loss of a sequence of logits (T,B,K), float32 or float64, and its gradient.

    labels: softmax integers (T,B), or (B,) at="last"; sigmoid and squared (T,B,K), or (B,K)
    at="last", of the logits' dtype.
    lengths (B,): 0 to T. at: score "every" valid step or each sequence's "last" valid one.
    reduction: "mean", "sum", "batch", "steps" or "sequence", see above.
    weights: of at least 0, of the logits' dtype, or bools, which steps count: (T,B), or (B,)
    at="last".
    InputError for anything else, also where no step is scored.
    """
    check_choices(kind, at, reduction)
    logits = check_array("logits", logits, 3)
    if 0 in logits.shape:
        raise InputError(f"logits have shape {logits.shape}; each size must be at least 1")
    T, B, K = logits.shape
    lengths = check_lengths(lengths, T, B)
    scored = scored_steps(lengths, T, at, reduction, weights, logits.dtype)
    labels = check_labels(kind, labels, label_shape(T, B, at), scored.places, K, logits.dtype)
    loss, found = reduced(kind, logits[scored.steps, scored.sequences], labels, scored)
    dlogits = np.zeros_like(logits)
    dlogits[scored.steps, scored.sequences] = found
    return LossResult(loss, dlogits)


def reduced(kind: str, logits, labels, scored: Scored) -> tuple[np.floating, np.ndarray]:
    """The loss of the scored steps' logits (N,K), and its gradient (N,K)."""
    loss, dlogits = LOSSES[kind](logits, labels)
    # a sum of thousands of float32 terms keeps their precision only in float64
    if scored.factor is None:
        total = loss.sum(dtype=np.float64)
    else:
        factor = scored.factor[:, None]
        total = (loss.reshape(len(loss), -1) * factor).sum()
        dlogits *= factor
    dlogits /= scored.divisor
    return logits.dtype.type(total / scored.divisor), dlogits


# Each takes logits (N,K) and labels, and returns the losses (N,) or (N,K), to be summed, and
# dlogits (N,K), a new array.


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


def check_choices(kind: str, at: str, reduction: str) -> None:
    for name, value, allowed in (
        ("kind", kind, tuple(LOSSES)),
        ("at", at, AT),
        ("reduction", reduction, REDUCTIONS),
    ):
        if not isinstance(value, str) or value not in allowed:
            raise unknown(name, value, allowed)


def label_shape(T: int, B: int, at: str) -> tuple[int, ...]:
    """Of classes and weights, one a step or one a sequence."""
    return (T, B) if at == "every" else (B,)


def scored_steps(lengths: np.ndarray, T: int, at: str, reduction: str, weights, dtype) -> Scored:
    """Which steps are scored, and their ω. InputError where there is none."""
    B = len(lengths)
    if at == "every":
        steps, sequences = places = np.nonzero(np.arange(T)[:, None] < lengths)
    else:
        sequences = np.flatnonzero(lengths > 0)
        steps, places = lengths[sequences] - 1, (sequences,)
    if not len(steps):
        raise InputError("every length is 0; needs at least one valid step to score")
    factor = None
    if weights is not None:
        factor = check_weights(weights, label_shape(T, B, at), places, dtype)
        kept = factor > 0
        if not kept.any():
            raise InputError("every valid step's weight is 0; needs at least one step to score")
        steps, sequences, factor = steps[kept], sequences[kept], factor[kept]
        places = tuple(place[kept] for place in places)
    of_sequence = np.bincount(sequences, factor, B)
    if reduction in ("steps", "sequence"):
        factor = (1.0 if factor is None else factor) / of_sequence[sequences]
    divisor = {
        "mean": float(of_sequence.sum()),
        "batch": np.count_nonzero(of_sequence),
        "sequence": np.count_nonzero(of_sequence),
    }.get(reduction, 1)
    return Scored(steps, sequences, places, factor, divisor)


def check_weights(weights, shape: tuple, places: tuple, dtype) -> np.ndarray:
    """The valid steps' weights (N,) in float64; the others are not looked at."""
    weights = as_array("weights", weights)
    if weights.dtype not in (dtype, np.dtype(bool)):
        raise InputError(f"weights have dtype {weights.dtype}; needs bool, or {dtype} as y has")
    if weights.shape != shape:
        raise InputError(f"weights have shape {weights.shape}; needs {shape}")
    weights = weights[places].astype(np.float64)
    bad = weights[~((weights >= 0) & (weights < np.inf))]
    if bad.size:
        raise InputError(f"a weight is {bad[0]}; needs finite numbers of at least 0")
    return weights


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
