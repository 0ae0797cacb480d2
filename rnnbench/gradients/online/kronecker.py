"""KF-RTRL and OK: the influence as a sum of Kronecker products, unbiased with random signs.

By the places where numbers enter, a step's own part of the influence is one product: source ⊗ Z.
So the influence after it is (Σᵢ uᵢ ⊗ J Aᵢ) + source ⊗ Z, u (C) and A (n,R), one product more than
was carried; it is reduced at random to as many as before, without changing its mean.

KF-RTRL: Mujika, Meier & Steger 2018, arXiv:1805.10842, algorithm 1: two products to one.
OK: Benzing, Gauy, Mujika, Martinsson & Steger 2019, arXiv:1902.03993, algorithms 1 and 2: r + 1
products to r with the least variance there is. Both papers have one matrix of weights; here every
place of a cell has its rows in A, and all that is multiplied anywhere stands in u.
"""

import numpy as np

from rnnbench.checks import check_count
from rnnbench.gradients.online.algorithm import Algorithm, Network, balance, sign_source
from rnnbench.gradients.online.layout import Layout
from rnnbench.gradients.online.local import LocalStep


def outer_gradient(layout: Layout, rows: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Σ over the batch of rows (B,R) ⊗ sources (B,C), at the entries (N,)."""
    found = np.empty(layout.N, rows.dtype)
    for place, view in zip(layout.places, layout.split(found), strict=True):
        view[...] = np.einsum("br,bc->rc", rows[:, place.rows], sources[:, place.columns])
    return found


class KFRTRL(Algorithm):
    """signs: a seed, a Generator, or a function of a shape (2,B), one call a step."""

    name = "kf_rtrl"
    source = "Mujika et al. 2018, arXiv:1805.10842, algorithm 1"
    kind = "unbiased"
    time, memory = "n H R", "n R + C"

    def __init__(self, signs=0):
        self.signs = signs
        sign_source(signs, np.dtype(np.float64))  # bad ones are found here

    def start(self, network: Network) -> None:
        self.network, self.draw = network, sign_source(self.signs, network.dtype)
        batch, layout = network.batch, network.layout
        self.u = np.zeros((batch, layout.C), network.dtype)
        self.A = np.zeros((batch, layout.n, layout.R), network.dtype)

    def advance(self, step: LocalStep) -> None:
        carried, fresh, source = step.times(self.A), step.dense_injection(), step.sources
        first, second = self.draw((2, len(self.u)))
        p, q = first * balance(carried, self.u), second * balance(fresh, source)
        new = p[:, None] * self.u + q[:, None] * source
        self.A = step.hold(carried / p[:, None, None] + fresh / q[:, None, None], self.A)
        self.u = step.hold(new, self.u)

    def contract(self, ds: np.ndarray) -> np.ndarray:
        return outer_gradient(self.network.layout, np.einsum("bn,bnr->br", ds, self.A), self.u)


class OK(Algorithm):
    """rank: r, 1 or more. signs: a seed, a Generator, or a function of a shape (B,r+1), one call a
    step."""

    name = "ok"
    source = "Benzing et al. 2019, arXiv:1902.03993, algorithms 1 and 2"
    kind = "unbiased"
    time, memory = "r n H R + r² n R", "r (n R + C)"

    def __init__(self, rank: int = 1, signs=0):
        self.rank, self.signs = check_count("rank", rank), signs
        sign_source(signs, np.dtype(np.float64))  # bad ones are found here

    def start(self, network: Network) -> None:
        self.network, self.draw = network, sign_source(self.signs, network.dtype)
        batch, layout = network.batch, network.layout
        self.u = np.zeros((batch, layout.C, self.rank), network.dtype)
        self.A = np.zeros((batch, layout.n, layout.R, self.rank), network.dtype)

    def advance(self, step: LocalStep) -> None:
        batch, n, R, rank = self.A.shape
        carried = step.times(self.A.reshape(batch, n, R * rank)).reshape(batch, n * R, rank)
        fresh = step.dense_injection().reshape(batch, n * R, 1)
        left = np.concatenate([self.u, step.sources[:, :, None]], axis=2)
        right = np.concatenate([carried, fresh], axis=2)
        # to an orthonormal basis of each side: there, products are matrices of r + 1 rows
        (left_basis, left), (right_basis, right) = np.linalg.qr(left), np.linalg.qr(right)
        signs = self.draw((batch, rank + 1))
        reduced = [
            reduce(a @ b.T, rank, s) for a, b, s in zip(left, right, signs, strict=True)
        ]  # fmt: skip
        u, A = (np.stack(side) for side in zip(*reduced, strict=True))
        self.u = step.hold(left_basis @ u, self.u)
        self.A = step.hold((right_basis @ A).reshape(self.A.shape), self.A)

    def contract(self, ds: np.ndarray) -> np.ndarray:
        rows = np.einsum("bn,bnri->bri", ds, self.A)
        pairs = zip(np.moveaxis(rows, 2, 0), np.moveaxis(self.u, 2, 0), strict=True)
        return sum(outer_gradient(self.network.layout, r, u) for r, u in pairs)


def reduce(matrix: np.ndarray, rank: int, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left (p,rank) and right (q,rank) whose left · rightᵀ has the mean ``matrix`` (p,q) over the
    signs (rank + 1,), with the least variance of all such.

    matrix has at most rank + 1 singular values d₁ ≥ d₂ ≥ …. The largest stay as they are; the k + 1
    smallest, of sum σ, share the k products that are left: √(σ/k) diag(signs) B for the k columns
    B that complete the unit vector with the squares 1 − k dᵢ/σ to an orthonormal basis.
    """
    if not np.isfinite(matrix).all():
        return tuple(np.full((size, rank), np.nan, matrix.dtype) for size in matrix.shape)
    U, d, V = np.linalg.svd(matrix, full_matrices=False)
    mix = np.zeros((len(d), rank), matrix.dtype)
    if len(d) <= rank:
        np.fill_diagonal(mix, np.sqrt(d))
    else:
        kept = next(i for i in range(rank) if (rank - i) * d[i] <= d[i:].sum())
        k, tail, total = rank - kept, d[kept:], d[kept:].sum()
        mix[range(kept), range(kept)] = np.sqrt(d[:kept])
        if total > 0:
            unit = np.sqrt(np.maximum(1 - k * tail / total, 0))
            basis = np.linalg.qr(unit[:, None], mode="complete")[0][:, 1:]
            mix[kept:, kept:] = np.sqrt(total / k) * signs[kept:, None] * basis
    return U @ mix, V.T @ mix
