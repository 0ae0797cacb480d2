"""Output heads: a linear layer and a loss at each step, or at each sequence's last one.

    logits = y weightᵀ + bias          y (T,B,H), weight (K,H), bias (K,)

The kinds of loss, and how the steps of a batch make one number: ``losses``.
"""

from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_array, check_lengths
from rnnbench.errors import InputError
from rnnbench.layers.losses import (
    check_choices,
    check_labels,
    label_shape,
    reduced,
    scored_steps,
)


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
    weights: np.ndarray | None = None,
) -> HeadResult:
    """Loss of a sequence of outputs, and its gradients. Products go through ``target.matmul``.

    y (T,B,H), weight (K,H), bias (K,): all float32 or all float64.
    labels, lengths, at, reduction, weights: as of ``losses.loss_on_logits``, dtypes as y has.
    InputError for anything else, also where no step is scored.
    """
    check_choices(kind, at, reduction)
    y, weight, bias = check_head(y, weight, bias)
    T, B, H = y.shape
    scored = scored_steps(check_lengths(lengths, T, B), T, at, reduction, weights, y.dtype)
    steps, sequences = scored.steps, scored.sequences
    labels = check_labels(kind, labels, label_shape(T, B, at), scored.places, len(bias), y.dtype)

    rows = y.reshape(T * B, H) if len(steps) == T * B else y[steps, sequences]
    loss, dlogits = reduced(kind, target.matmul(rows, weight.T) + bias, labels, scored)
    dy = np.zeros_like(y)
    dy[steps, sequences] = target.matmul(dlogits, weight)
    return HeadResult(
        loss,
        dy,
        target.matmul(dlogits.T, rows),
        dlogits.sum(axis=0, dtype=np.float64).astype(y.dtype),
    )


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
