"""A feed-forward stack applied to each step by itself: what stands on a recurrent layer's outputs.

    z_l = W_l y_{l−1} + b_l,    y_l = activation_l(z_l),    y_0 = x_t

Activations: tanh, relu (slope 0 at 0), sigmoid, identity. Each slope is a function of y_l.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.layer import Array, Arrays, Gradients, Layer, Result, matrix
from rnnbench.layers.sums import Rows


class Activation(NamedTuple):
    """value(z); slope(y), the derivative at z in terms of y = value(z)."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray | int]


def sigmoid(z: np.ndarray) -> np.ndarray:
    from scipy.special import expit  # slow to import

    return expit(z)


# np.maximum and np.sign keep a NaN
ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda y: 1 - y * y),
    "relu": Activation(lambda z: np.maximum(z, 0), np.sign),
    "sigmoid": Activation(sigmoid, lambda y: y * (1 - y)),
    "identity": Activation(lambda z: z, lambda y: 1),
}


@dataclass(frozen=True, eq=False)
class FeedForward(Layer):
    """Dense layers of these sizes; parameters ``0.W`` (size, width below), ``0.b`` (size,), ….

    activation: a name for all, or one name a layer. No states. InputError for no size, a size
    below 1 or an unknown name.
    """

    sizes: Sequence[int]
    activation: str | Sequence[str] = "tanh"

    def __post_init__(self):
        if not isinstance(self.sizes, list | tuple) or not self.sizes:
            raise InputError(f"sizes is {shown(self.sizes)}; needs a list of at least one size")
        sizes = tuple(check_count(f"size {l}", size) for l, size in enumerate(self.sizes))
        names = self.activation
        names = (names,) * len(sizes) if isinstance(names, str) else names
        if not isinstance(names, list | tuple) or len(names) != len(sizes):
            raise InputError(
                f"activation is {shown(self.activation)}; needs a name, or one for each of "
                f"{len(sizes)} layers"
            )
        for name in names:
            if not isinstance(name, str) or name not in ACTIVATIONS:
                raise unknown("activation", name, ACTIVATIONS)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "activation", tuple(names))

    def output_size(self, input_size: int) -> int:
        return self.sizes[-1]

    def parameters(self, input_size: int) -> dict[str, Array]:
        found = {}
        for l, (size, below) in enumerate(zip(self.sizes, (input_size, *self.sizes), strict=False)):
            found[f"{l}.W"] = matrix(size, below)
            found[f"{l}.b"] = Array((size,), 0.65)
        return found

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        T, B, _ = x.shape
        valid = None
        if lengths is not None:
            valid = np.flatnonzero(np.arange(T)[:, None] < lengths)
        if keep and valid is None:
            x = x.copy()  # the caller may write to it before the way back
        rows = valid_rows(x, valid)
        values, matrices = [rows], []
        for l, name in enumerate(self.activation):
            weight = params[f"{l}.W"]
            z = target.matmul(values[l], weight.T)
            z += params[f"{l}.b"]
            values.append(ACTIVATIONS[name].value(z))
            matrices.append(weight.copy() if keep else weight)
        y = with_padding(values[-1], (T, B), valid)
        y.flags.writeable = False  # the tape may share it
        return Result(y, {}, (target, values, matrices, valid) if keep else None)

    def run_backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        sums = self.sums(inner[0])
        found = sums.backward(inner, dy, dstate)
        return found._replace(params=sums.result())

    def sums(self, target) -> "FeedForwardSums":
        return FeedForwardSums(self.activation, target)


class FeedForwardSums:
    """The sums of a feed-forward stack: those over the rows of each of its layers."""

    def __init__(self, activations: Sequence[str], target):
        self.slopes = [ACTIVATIONS[name].slope for name in activations]
        self.rows = [Rows(target) for _ in activations]

    def backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        target, values, matrices, valid = inner
        rows = valid_rows(dy, valid)
        for l in reversed(range(len(matrices))):
            rows = rows * self.slopes[l](values[l + 1])
            self.rows[l].add(rows, values[l])
            rows = target.matmul(rows, matrices[l])
        return Gradients(None, with_padding(rows, dy.shape[:2], valid), {})

    def result(self) -> Arrays:
        found = {}
        for l, rows in enumerate(self.rows):
            found[f"{l}.W"], found[f"{l}.b"] = rows.result()
        return found


def valid_rows(values: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """(T,B,width) as (N,width): the rows t·B + b of ``valid``, all where it is None."""
    rows = values.reshape(-1, values.shape[2])
    return rows if valid is None else rows[valid]


def with_padding(rows: np.ndarray, steps: tuple[int, int], valid: np.ndarray | None) -> np.ndarray:
    """The inverse of ``valid_rows``, zero elsewhere."""
    T, B = steps
    width = rows.shape[1]
    if valid is None:
        return rows.reshape(T, B, width)
    values = np.zeros((T * B, width), rows.dtype)
    values[valid] = rows
    return values.reshape(T, B, width)
