"""A single product of two matrices, with the tiles that the cells use.

Panel after panel of the right matrix is packed and multiplied; threads share the panels, so that
no sum is split. The table (words) is as below; addresses and steps in bytes.
"""

import numpy as np

from rnnbench.cpu import moves
from rnnbench.cpu import panels as packed
from rnnbench.cpu.jit import Kernel, vector_bytes
from rnnbench.cpu.memory import Block, address
from rnnbench.cpu.native import NOTHING, invoke8, invoke19, numbers, word
from rnnbench.cpu.threads import team_of
from rnnbench.cpu.tile import WIDEST, lanes

PRODUCT, MOVE, A, B, C, C_ROW, PANEL, M, K, N, LANES, PARTS = range(12)
VECTOR = vector_bytes()
LINE = WIDEST * VECTOR
WORTH_A_THREAD = 100_000  # multiply-adds below which a second thread costs more than it saves


@Kernel
def multiply(kind, table, part):
    """A thread's share of the panels."""
    rows, depth, columns, lanes = word(table, M), word(table, K), word(table, N), word(table, LANES)
    size, parts = VECTOR // lanes, word(table, PARTS)
    panel = word(table, PANEL) + part * (depth + lanes) * LINE
    count = -(-columns // (WIDEST * lanes))
    for i in range(count * part // parts, count * (part + 1) // parts):
        left = columns - i * WIDEST * lanes
        for k in range(0, depth, lanes):
            b = word(table, B) + (k * columns + i * WIDEST * lanes) * size
            invoke8(
                word(table, MOVE),
                (moves.PACK_ROWS, panel + k * LINE, WIDEST, b, columns * size, depth - k, left, 0),
            )
        c, c_row = word(table, C) + i * LINE, word(table, C_ROW)
        vectors = min(WIDEST, -(-left // lanes))
        invoke19(
            word(table, PRODUCT),
            (
                c, c_row, c, c_row, word(table, A), depth * size, size, 0, panel, LINE, depth, 1,
                rows, vectors, packed.PLAIN, 1, 0, 0, 0,
            ),
        )  # fmt: skip


def matmul(a: np.ndarray, b: np.ndarray, threads: int) -> np.ndarray:
    """a (m,k) @ b (k,n)."""
    (m, k), n, v = a.shape, b.shape[1], lanes(a.dtype)
    result = np.zeros((m, -(-n // v) * v), a.dtype)
    if m and k and n:
        kind = numbers(a.dtype.name)
        product, move = packed.product.address(kind, 19), moves.move.address(kind, 8)
        with team_of(max(1, min(threads, m * k * n // WORTH_A_THREAD))) as team:
            # rows past the depth are packed too, as zeros
            panels = Block(team.parts * (k + v) * LINE)
            words = [product, move, address(a), address(b), address(result), result.strides[0]]
            words += [panels.address, m, k, n, v, team.parts]
            team.run(multiply.address(NOTHING, 2), np.array(words, np.int64))
    return result if result.shape[1] == n else result[:, :n].copy()
