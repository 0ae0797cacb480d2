"""Products that layers share: a dense map of every step, and small sums of gradients."""

from collections.abc import Mapping

import numpy as np


def dense(target, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x weightᵀ: x (…,K) by weight (N,K) to (…,N)."""
    rows = target.matmul(x.reshape(-1, x.shape[-1]), weight.T)
    return rows.reshape(*x.shape[:-1], len(weight))


def dense_backward(
    target, x: np.ndarray, weight: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(dx, dweight) from dy (…,N)."""
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, len(weight))
    dx = target.matmul(drows, weight).reshape(x.shape)
    return dx, target.matmul(drows.T, rows)


def added(total: Mapping | None, more: Mapping) -> dict:
    """Sums by name; the arrays given stay as they are. None: nothing yet."""
    if total is None:
        return dict(more)
    # asarray: the sum of two 0-d arrays would be a scalar
    return {name: np.asarray(value + more[name]) for name, value in total.items()}
