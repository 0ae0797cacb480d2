"""Derivatives as blocks: what a vector depends on, an origin at a time.

A block of a vector of width w by an origin of width m is an array (B, w, m), a matrix a sequence,
or (B, w), a diagonal (then m = w). B may be 1: the same for all sequences. An origin that is not
there has no influence. Keeping diagonals as such is what makes an elementwise cell cheap.
"""

from collections.abc import Callable, Hashable

import numpy as np

Blocks = dict[Hashable, np.ndarray]


def add(total: Blocks, origin: Hashable, block: np.ndarray) -> None:
    """total[origin] += block; neither array is written to."""
    if origin in total:
        block = summed(total[origin], block)
    total[origin] = block


def summed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum of two blocks of the same vector by the same origin."""
    if a.ndim == b.ndim:
        return a + b
    full, diagonal = (a, b) if a.ndim > b.ndim else (b, a)
    batch = max(len(a), len(b))
    result = np.broadcast_to(full, (batch, *full.shape[1:])).copy()
    unit = np.arange(full.shape[1])
    result[:, unit, unit] += diagonal
    return result


def scaled(slope: np.ndarray, block: np.ndarray) -> np.ndarray:
    """diag(slope) · block, slope (B, w)."""
    return slope * block if block.ndim == 2 else slope[:, :, None] * block


def multiplied(matmul: Callable, matrix: np.ndarray, block: np.ndarray) -> np.ndarray:
    """matrix · block, a (w, m) matrix that all sequences share: (B, w, columns)."""
    if block.ndim == 2:
        return matrix * block[:, None, :]
    batch, m, columns = block.shape
    side_by_side = np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(m, batch * columns)
    product = matmul(matrix, side_by_side)
    return product.reshape(len(matrix), batch, columns).transpose(1, 0, 2)


def place_block(matrices: np.ndarray, rows: slice, columns: slice, block: np.ndarray) -> None:
    """Write a block into matrices (B, all rows, all columns)."""
    if block.ndim == 3:
        matrices[:, rows, columns] = block
        return
    unit = np.arange(block.shape[1])
    matrices[:, rows.start + unit, columns.start + unit] = block
