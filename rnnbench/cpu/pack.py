"""Packed matrices: what the tiles stream through, once per call.

A panel array is (blocks, K, n, lanes): block by block, for each k the n vectors that a tile
multiplies, side by side. Rows past the width are zero.
"""

import numpy as np

from rnnbench.cpu.tile import lanes


def padded(width: int, dtype) -> int:
    """Width rounded up to whole vectors."""
    v = lanes(dtype)
    return -(-width // v) * v


def pack_gates(matrix: np.ndarray, gates: tuple[int, ...], width: int) -> np.ndarray:
    """Row blocks ``gates`` of a (gates·width, K) matrix, the gates of a unit side by side."""
    v, K = lanes(matrix.dtype), matrix.shape[1]
    full = np.zeros((len(gates), padded(width, matrix.dtype), K), matrix.dtype)
    full[:, :width] = matrix.reshape(-1, width, K)[list(gates)]
    return np.ascontiguousarray(full.reshape(len(gates), -1, v, K).transpose(1, 3, 0, 2))


def pack_columns(matrix: np.ndarray) -> np.ndarray:
    """A (K, N) matrix as it is, up to four vectors of columns in a block."""
    v, (K, N) = lanes(matrix.dtype), matrix.shape
    vectors = max(1, -(-N // v))
    n = min(4, vectors)
    blocks = -(-vectors // n)
    full = np.zeros((K, blocks * n * v), matrix.dtype)
    full[:, :N] = matrix
    return np.ascontiguousarray(full.reshape(K, blocks, n, v).transpose(1, 0, 2, 3))


def packed_width(panels: np.ndarray) -> int:
    """Columns a result of ``pack_columns`` writes, padding included."""
    return panels.shape[0] * panels.shape[2] * panels.shape[3]
