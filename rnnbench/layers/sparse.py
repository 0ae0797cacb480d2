"""Sparse weights: of many scores the k largest count, the others' weights are exactly 0.

    kept      i among the k largest scores a_i, the first of equals
    softmax   w_i = exp(a_i) / Σ_kept exp(a_j)
    shifted   w_i = (a_i − a*) / Σ_kept (a_j − a*), a* the (k+1)-th largest score; where there is
              none w_i = a_i

"shifted" is Ke et al., arXiv:1809.03702, section 3.1; for fewer scores than k+1 their text is
silent, and the scores themselves are what their code takes. Scores (B,M), of any M ≥ 1.
"""

from typing import NamedTuple

import numpy as np

from rnnbench.errors import unknown
from rnnbench.layers.attention import softmax, softmax_backward

WEIGHTINGS = ("softmax", "shifted")


class Weights(NamedTuple):
    """values (B,M); kept (B,M) bool; shifted: None, or (place of a* (B,1), the sums (B,1))."""

    values: np.ndarray
    kept: np.ndarray
    shifted: tuple | None


def check_weighting(name) -> None:
    if not isinstance(name, str) or name not in WEIGHTINGS:
        raise unknown("weighting", name, WEIGHTINGS)


def sparse_weights(weighting: str, scores: np.ndarray, k: int | None) -> Weights:
    """Weights of the k largest scores, of all where k is None."""
    M = scores.shape[1]
    k = M if k is None else min(k, M)
    # a NaN counts as largest: left out, it would be hidden
    order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), axis=1, kind="stable")
    kept = np.zeros(scores.shape, bool)
    np.put_along_axis(kept, order[:, :k], True, axis=1)
    if weighting == "softmax":
        return Weights(softmax(scores, kept), kept, None)
    if k == M:
        return Weights(scores, kept, None)
    edge = order[:, k : k + 1]
    above = np.where(kept, scores - np.take_along_axis(scores, edge, axis=1), 0)
    total = above.sum(axis=1, keepdims=True)
    # all kept ones equal to a*: no score stands out, and nothing is taken
    values = np.where(kept & (total != 0), above / np.where(total == 0, 1, total), 0)
    return Weights(values, kept, (edge, total))


def sparse_backward(weighting: str, weights: Weights, dweights: np.ndarray) -> np.ndarray:
    """dscores (B,M). Which scores are kept is a constant: it does not change nearby."""
    values, kept, shifted = weights
    if weighting == "softmax":
        return softmax_backward(values, dweights, kept)
    if shifted is None:
        return dweights
    edge, total = shifted
    mean = np.where(kept, values * dweights, 0).sum(axis=1, keepdims=True)
    slope = (dweights - mean) / np.where(total == 0, 1, total)
    dscores = np.where(kept & (total != 0), slope, 0)
    dedge = -dscores.sum(axis=1, keepdims=True)
    np.put_along_axis(dscores, edge, dedge, axis=1)
    return dscores
