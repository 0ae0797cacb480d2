"""The influence as a sum of Kronecker products, for any cell: KF-RTRL and OK in plain loops.

Both need a step's own derivative as one product, F = source ⊗ Z: what a matrix multiplied, and how
the new states depend on its result. They are found without looking into a cell: its ``step`` runs
with matrices that note each product they take part in, and in turn every number of a result, and
every parameter, is moved by an imaginary 1e-200 (``rtrl`` has the rule). What depends on a
parameter in another way than through a product counts as a product with the constant 1.

Letters: T time, B batch, n all units of all states, R rows (of all products' results), C columns
(of all that is multiplied), P all parameters.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import checks
from .cells import get_cell
from .rtrl import STEP, Steps, linearised

DIGITS = 12  # rows, or sources, that agree to so many are the same


class Products(NamedTuple):
    """The steps of a sequence as products.

    J (T,B,n,n); Z (T,B,n,R); sources (T,B,C); spread (R,C,P): the gradient at parameter p is
    Σ spread[r,c,p] · (the gradient at the pair r,c). Z and sources are 0 past a sequence's end.
    """

    J: np.ndarray
    Z: np.ndarray
    sources: np.ndarray
    spread: np.ndarray


class Noted(np.ndarray):
    """A matrix that notes what it multiplies, as does whatever is made of it.

    log: the products so far, (left, right); moved: (which product, which column of its result) gets
    an imaginary STEP. Both belong to the class that ``noting`` makes for one run.
    """

    log: list
    moved: tuple[int, int] | None

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [np.asarray(v) for v in inputs]
        if "out" in options:
            options["out"] = tuple(np.asarray(v) for v in options["out"])
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            if self.moved is not None and self.moved[0] == len(self.log):
                result[:, self.moved[1]] += 1j * STEP
            self.log.append(plain)
        return result.view(type(self)) if isinstance(result, np.ndarray) else result

    def __array_function__(self, function, types, inputs, options):
        result = super().__array_function__(function, types, inputs, options)
        return result.view(type(self)) if isinstance(result, np.ndarray) else result


def noting(moved: tuple[int, int] | None) -> type:
    return type("Noting", (Noted,), {"log": [], "moved": moved})


def run_step(cell, params, x, state, inputs, moved=None):
    """(imaginary part of the new states (B,n) / STEP, the products' (left, right)) of one step."""
    kind = noting(moved)
    params = {k: p.view(kind) if p.ndim == 2 else p for k, p in params.items()}
    new = cell.step(params, x, state, **inputs)[0]
    parts = [np.broadcast_to(np.asarray(new[s]).imag, state[s].shape) for s in cell.states]
    return np.concatenate(parts, axis=1) / STEP, kind.log


def as_complex(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(v, complex) for name, v in arrays.items()}


def spreads(cell, params, x, state, inputs) -> list[np.ndarray]:
    """For each product (w,c,P): the derivative of its matrix by every parameter."""
    found = []
    for name, values in params.items():
        for index in np.ndindex(values.shape):
            changed = values.copy()
            changed[index] += 1j * STEP
            log = run_step(cell, params | {name: changed}, x, state, inputs)[1]
            found.append([right.imag.T / STEP for _, right in log])
    return [np.stack(of_one, axis=2) for of_one in zip(*found, strict=True)]


def products(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> tuple[Steps, Products]:
    """The steps of a sequence x (T,B,I), all float64, as ``rtrl.linearised`` has them and as
    products."""
    cell, inputs = get_cell(cell), inputs or {}
    steps = linearised(cell, params, x, state, lengths, inputs)
    T, B, n, P = steps.F.shape
    lengths = checks.sequence_lengths(lengths, T, B)
    params = as_complex(params)

    def at(t, rows):
        now = {name: history[t, rows] for name, history in steps.states.items()}
        given = {name: values[t, rows] for name, values in inputs.items()}
        return as_complex({"": x[t, rows]})[""], as_complex(now), as_complex(given)

    each = spreads(cell, params, *at(0, [0]))
    widths, columns = ([one.shape[axis] for one in each] for axis in (0, 1))
    Z, sources = np.zeros((T, B, n, sum(widths) + P)), np.zeros((T, B, sum(columns) + 1))
    own = slice(sum(widths), None)
    for t in range(T):
        rows = np.flatnonzero(t < lengths)
        if not rows.size:
            continue
        here = at(t, rows)
        log = run_step(cell, params, *here)[1]
        values = [left.real for left, _ in log] + [np.ones((len(rows), 1))]
        sources[t, rows] = np.concatenate(values, axis=1)
        moves = [(k, u) for k, width in enumerate(widths) for u in range(width)]
        for r, moved in enumerate(moves):
            Z[t, rows, :, r] = run_step(cell, params, *here, moved)[0]
        through, first = np.zeros((len(rows), n, P)), 0
        for spread, value in zip(each, values, strict=False):
            part = Z[t, rows][:, :, first : first + len(spread)]
            through += np.einsum("bnw,bc,wcp->bnp", part, value, spread)
            first += len(spread)
        Z[t, rows, :, own] = steps.F[t, rows] - through
    spread = np.zeros((sum(widths) + P, sum(columns) + 1, P))
    first, column = 0, 0
    for one in each:
        w, c, _ = one.shape
        spread[first : first + w, column : column + c] = one
        first, column = first + w, column + c
    spread[range(first, first + P), -1, range(P)] = 1
    used = np.abs(Z).max(axis=(0, 1, 2)) > 10.0**-DIGITS
    used[:first] = True  # of the parameters themselves, those that stand outside products too
    constant = slice(None) if used[own].any() else slice(-1)
    spread = spread[used][:, constant]
    return steps, merged(Products(steps.J, Z[..., used], sources[..., constant], spread))


def merged(given: Products) -> Products:
    """The same with each row and each source once: terms that add up to one number share a row."""
    rows, row_of = alike(given.Z)
    columns, column_of = alike(given.sources)
    spread = np.zeros((len(rows), len(columns), given.spread.shape[2]))
    for r, to in enumerate(row_of):
        for c, at in enumerate(column_of):
            spread[to, at] += given.spread[r, c]
    return Products(given.J, given.Z[..., rows], given.sources[..., columns], spread)


def alike(values: np.ndarray) -> tuple[list[int], list[int]]:
    """(the first of each set of equal last-axis columns, which set every column is of)."""
    flat = values.reshape(-1, values.shape[-1])
    rounded = np.round(flat / max(np.abs(flat).max(), 1e-300), DIGITS) + 0.0  # -0 is 0
    firsts, found, known = [], [], {}
    for i, column in enumerate(rounded.T):
        key = column.tobytes()
        if key not in known:
            known[key] = len(firsts)
            firsts.append(i)
        found.append(known[key])
    return firsts, found


def ok(given: Products, incoming: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Benzing et al. 2019 (arXiv:1902.03993), algorithms 1 and 2: (T,P), the gradient of each
    step's own loss. incoming (T,B,n): ∂L_t/∂s_t; signs (T,B,r+1), r products being carried."""
    T, B, n, _ = given.J.shape
    rank = signs.shape[2] - 1
    R, C = given.Z.shape[3], given.sources.shape[2]
    u, A = np.zeros((B, rank, C)), np.zeros((B, rank, n, R))
    found = np.zeros((T, given.spread.shape[2]))
    for t in range(T):
        for b in range(B):
            total = np.outer(given.sources[t, b], given.Z[t, b])
            for i in range(rank):
                total += np.outer(u[b, i], given.J[t, b] @ A[b, i])
            left, right = reduced(total, rank, signs[t, b])
            for i in range(rank):
                u[b, i], A[b, i] = left[:, i], right[:, i].reshape(n, R)
                rows = incoming[t, b] @ A[b, i]
                found[t] += np.einsum("r,c,rcp->p", rows, u[b, i], given.spread)
    return found


def reduced(matrix: np.ndarray, rank: int, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 2, "Opt": L, L' with rank columns each, E[L L'ᵀ] = matrix (of rank + 1 at most).

    In the coordinates of the singular vectors, with d₁ ≥ … ≥ d_{r+1}: let m be the first with
    (r − m) d_{m+1} ≤ Σ_{i>m} dᵢ = σ. The first m stay; z₀ = √(1 − k dᵢ / σ) for the k + 1 others,
    k = r − m, is completed to an orthonormal basis z₀, z₁, …, z_k, of which √(σ/k) s ⊙ z_j are the
    columns.
    """
    U, d, V = np.linalg.svd(matrix, full_matrices=False)
    U, d, V = U[:, : rank + 1], d[: rank + 1], V[: rank + 1].T
    if len(d) <= rank:  # a narrow matrix
        columns = np.zeros((len(d), rank))
        columns[range(len(d)), range(len(d))] = np.sqrt(d)
        return U @ columns, V @ columns
    m = 0
    while (rank - m) * d[m] > d[m:].sum():
        m += 1
    k, sigma = rank - m, d[m:].sum()
    columns = np.zeros((rank + 1, rank))
    columns[range(m), range(m)] = np.sqrt(d[:m])
    if sigma > 0:
        z0 = np.sqrt(np.maximum(1 - k * d[m:] / sigma, 0))
        for j, z in enumerate(completed(z0)):
            columns[m:, m + j] = np.sqrt(sigma / k) * signs[m:] * z
    return U @ columns, V @ columns


def completed(first: np.ndarray) -> list[np.ndarray]:
    """Unit vectors that, with the unit vector ``first``, are an orthonormal basis: Gram-Schmidt on
    the coordinate axes, the one nearest to ``first`` left out."""
    basis = [first]
    for axis in np.delete(np.eye(len(first)), np.argmax(first), axis=0):
        for _ in range(2):  # once more against rounding
            for known in basis:
                axis = axis - (axis @ known) * known
        basis.append(axis / np.linalg.norm(axis))
    return basis[1:]
