"""Products of any number of rows with packed panels: which tiles, and in which order."""

from rnnbench.cpu.jit import Kernel, device
from rnnbench.cpu.tile import K_BLOCK, UNROLL, VECTOR, WIDEST, tallest, tile

FEW = 8  # rows for which a panel may as well come from the second-level cache
PLAIN, SUMS, SINGLE = range(3)  # how a product is taken
STREAM = 64 * UNROLL  # bytes fetched ahead in an unrolled turn, where they lie side by side


def column(n: int):
    """Any number of rows by n vectors."""
    most = tallest(n)
    full, four, two, one = (tile(m, n) for m in (most, 4, 2, 1))

    @device
    def product(
        kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, rows, coming, sums
    ):  # fmt: skip
        step = c_row if sums else STREAM
        while rows > 0:
            # two rows by themselves wait for the panel: two fours instead of a six and a two
            if rows >= most and rows != most + 2:
                full(
                    kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
                    step, 0, 0, 0,
                )  # fmt: skip
                m = most
            elif rows >= 4:
                four(
                    kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
                    step, 0, 0, 0,
                )  # fmt: skip
                m = 4
            elif rows >= 2:
                two(
                    kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
                    step, 0, 0, 0,
                )  # fmt: skip
                m = 2
            else:
                one(
                    kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
                    step, 0, 0, 0,
                )  # fmt: skip
                m = 1
            c += m * c_row
            s += m * s_row
            a += m * a_row
            rows -= m
            coming += m * c_row if sums else K * blocks // UNROLL * STREAM

    return product


def line(n: int):
    """One row by n vectors of each of some panels: several at once, for a single one would wait
    for its own sums."""
    four, two, one = (tile(1, n, panels) for panels in (4, 2, 1))

    @device
    def product(
        kind, c, s, a, a_k, a_block, b, b_k, K, blocks, coming, panels, c_panel, s_panel, b_panel
    ):
        while panels > 0:
            if panels >= 4:
                four(
                    kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming,
                    STREAM, c_panel, s_panel, b_panel,
                )  # fmt: skip
                p = 4
            elif panels >= 2:
                two(
                    kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming,
                    STREAM, c_panel, s_panel, b_panel,
                )  # fmt: skip
                p = 2
            else:
                one(
                    kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming, STREAM,
                    0, 0, 0,
                )  # fmt: skip
                p = 1
            c += p * c_panel
            s += p * s_panel
            b += p * b_panel
            coming += p * b_panel
            panels -= p

    return product


column1, column2, column3, column4 = (column(n) for n in (1, 2, 3, 4))


line1, line2, line3, line4 = (line(n) for n in (1, 2, 3, 4))
single1, single2, single4 = (tile(1, n, 1, UNROLL) for n in (1, 2, 4))


@device
def single(kind, c, s, a, a_k, a_block, b, b_k, K, blocks, vectors, coming):
    """One row by some vectors, each the sum of several."""
    while vectors > 0:
        if vectors >= 4:
            single4(
                kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming, STREAM, 0, 0, 0
            )
            n = 4
        elif vectors >= 2:
            single2(
                kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming, STREAM, 0, 0, 0
            )
            n = 2
        else:
            single1(
                kind, c, 0, s, 0, a, 0, a_k, a_block, b, b_k, K, blocks, coming, STREAM, 0, 0, 0
            )
            n = 1
        c += n * VECTOR
        s += n * VECTOR
        b += n * VECTOR
        vectors -= n


@Kernel
def product(
    kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, rows, vectors, how,
    panels, c_panel, s_panel, b_panel,
):  # fmt: skip
    """C (rows × vectors) = S + A · B (blocks·K × vectors), for each of some panels of B, C and S.

    A's element k of block j lies at a_row·row + a_block·j + a_k·k; B's line k at b_k·k, its vectors
    side by side, and so are those of C and S. S may be C itself; s_row = 0 starts every row alike.
    Of many rows, K_BLOCK lines of a panel at a time. Meanwhile B's next lines are fetched into the
    cache; where ``how`` is SUMS, C's next rows.
    SINGLE: the only row there is; its few sums do not wait for themselves, being several each.

    In one piece, for what a function calls is optimised again with it.
    """
    sums, lines = 1 if how == SUMS else 0, K * blocks
    while vectors > 0:
        n = -(-vectors // (-(-vectors // WIDEST)))
        if rows == 1 and how != SINGLE:
            coming = b + lines * b_k
            if n == 4:
                line4(
                    kind, c, s, a, a_k, a_block, b, b_k, K, blocks, coming,
                    panels, c_panel, s_panel, b_panel,
                )  # fmt: skip
            elif n == 3:
                line3(
                    kind, c, s, a, a_k, a_block, b, b_k, K, blocks, coming,
                    panels, c_panel, s_panel, b_panel,
                )  # fmt: skip
            elif n == 2:
                line2(
                    kind, c, s, a, a_k, a_block, b, b_k, K, blocks, coming,
                    panels, c_panel, s_panel, b_panel,
                )  # fmt: skip
            else:
                line1(
                    kind, c, s, a, a_k, a_block, b, b_k, K, blocks, coming,
                    panels, c_panel, s_panel, b_panel,
                )  # fmt: skip
        else:
            for p in range(panels):
                to, begin, begin_row = c + p * c_panel, s + p * s_panel, s_row
                row, line, done = a, b + p * b_panel, 0
                while done < lines:
                    depth, times = K, blocks
                    if rows > FEW and blocks > 1:
                        times = min(max(1, K_BLOCK // K), blocks - done // K)
                    elif rows > FEW:
                        depth = min(K_BLOCK, K - done)
                    count = depth * times
                    coming = to + rows * c_row if sums else line + count * b_k
                    if how == SINGLE:
                        single(
                            kind, to, begin, row, a_k, a_block, line, b_k, depth, times, n, coming
                        )
                    elif n == 4:
                        column4(
                            kind, to, c_row, begin, begin_row, row, a_row, a_k, a_block, line, b_k,
                            depth, times, rows, coming, sums,
                        )  # fmt: skip
                    elif n == 3:
                        column3(
                            kind, to, c_row, begin, begin_row, row, a_row, a_k, a_block, line, b_k,
                            depth, times, rows, coming, sums,
                        )  # fmt: skip
                    elif n == 2:
                        column2(
                            kind, to, c_row, begin, begin_row, row, a_row, a_k, a_block, line, b_k,
                            depth, times, rows, coming, sums,
                        )  # fmt: skip
                    else:
                        column1(
                            kind, to, c_row, begin, begin_row, row, a_row, a_k, a_block, line, b_k,
                            depth, times, rows, coming, sums,
                        )  # fmt: skip
                    done += count
                    row += times * a_block if blocks > 1 else depth * a_k
                    line += count * b_k
                    begin, begin_row = to, c_row
        c += n * VECTOR
        s += n * VECTOR
        b += n * VECTOR
        vectors -= n
