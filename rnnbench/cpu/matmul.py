"""A single product of two matrices, with the tiles that the cells use."""

import numpy as np

from rnnbench.cpu import panels as packed
from rnnbench.cpu.jit import cached, vector_bytes
from rnnbench.cpu.memory import address
from rnnbench.cpu.native import invoke19, numbers
from rnnbench.cpu.tile import WIDEST, lanes


@cached
def call(kernel, arguments):
    """One product."""
    invoke19(kernel, arguments)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M,K) @ b (K,N), on one thread."""
    (M, K), N, v = a.shape, b.shape[1], lanes(a.dtype)
    columns = WIDEST * v
    blocks = -(-N // columns)
    panels = np.zeros((K, blocks * columns), a.dtype)
    panels[:, :N] = b
    panels = np.ascontiguousarray(panels.reshape(K, blocks, columns).transpose(1, 0, 2))
    result = np.zeros((M, blocks * columns), a.dtype)
    kernel = packed.product.address(numbers(a.dtype.name), 19)
    row, line = result.strides[0], WIDEST * vector_bytes()
    for i in range(blocks if M and K else 0):
        c = address(result) + i * line
        at_a, at_b = address(a), address(panels) + i * K * line
        left, right = (at_a, K * a.itemsize, a.itemsize, 0), (at_b, line, K, 1)
        call(kernel, (c, row, c, row, *left, *right, M, WIDEST, 0, 1, 0, 0, 0))
    return result[:, :N].copy()
