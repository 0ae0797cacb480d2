"""Products of rows with packed panels, in registers.

``tile(m, n)`` is an intrinsic that emits LLVM vector code for  C[r,v] = S[r,v] + Σ_k A[r,k]·B[k,v]
over m rows and n vectors, k in order, one multiply-add an element and k. Every element sees the
same operations whatever tile it falls in and wherever its sum is interrupted, so results do not
depend on how rows, columns and k are split (but for tiles of several parts). Addresses and strides
are in bytes.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rnnbench.cpu.jit import registers, vector_bytes

INT = ir.IntType(64)
UNROLL = 4
WIDEST = 4 if registers() >= 32 else 2  # vectors side by side in a tile
VECTOR = vector_bytes()
K_BLOCK = 256  # k's of a panel that stay in a near cache between row tiles


@functools.cache
def lanes(dtype) -> int:
    """Numbers in a vector."""
    return vector_bytes() // np.dtype(dtype).itemsize


def tallest(n: int) -> int:
    """Rows of a tile n vectors wide: as many sums as registers hold beside the operands."""
    return min(8, (registers() - n - 1) // n // 2 * 2)


def tile(m: int, n: int, panels: int = 1, parts: int = 1):
    """The intrinsic (kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
    coming_step, c_panel, s_panel, b_panel).

    k runs over ``blocks`` blocks of K; A moves by ``a_block`` between them, B goes straight on.
    Lines from ``coming`` on are fetched into the cache, UNROLL of them every ``coming_step`` bytes.
    Several panels at once: n vectors of each, the panels of B, C and S so far apart.
    parts: 1, 2 or 4 sums an element, of every so many-th k of UNROLL, added at the end.
    """

    def product(
        typing, kind, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, coming,
        coming_step, c_panel, s_panel, b_panel,
    ):  # fmt: skip
        def generate(context, builder, signature, args):
            _, c, c_row, s, s_row, a, a_row, a_k, a_block, b, b_k, K, blocks, *others = args
            ahead, ahead_step, c_panel, s_panel, b_panel = others
            element = context.get_value_type(kind.element)
            size = context.get_abi_sizeof(element)
            vector = ir.VectorType(element, vector_bytes() // size)
            suffix = f"v{vector.count}f{8 * size}"
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.{suffix}"
            )

            def pointer(address, kind):
                return builder.inttoptr(address, kind.as_pointer())

            def load(address, kind):
                value = builder.load(pointer(address, kind))
                value.align = size
                return value

            def row(address, stride, r):
                return builder.add(address, builder.mul(stride, INT(r)))

            def vectors_at(address, panel):
                return [
                    builder.add(row(address, panel, p), INT(v * vector_bytes()))
                    for p in range(panels)
                    for v in range(n)
                ]

            def variable(value):
                place = cgutils.alloca_once(builder, value.type)
                builder.store(value, place)
                return place

            def advance(place, step):
                builder.store(builder.add(builder.load(place), step), place)

            wide = n * panels
            sums = [
                [
                    variable(load(p, vector) if part == 0 else vector(None))
                    for r in range(m)
                    for p in vectors_at(row(s, s_row, r), s_panel)
                ]
                for part in range(parts)
            ]
            at_a, at_b, block = variable(a), variable(b), variable(blocks)
            line_ahead = variable(ahead)
            byte = ir.IntType(8).as_pointer()
            flag = ir.IntType(32)
            prefetch = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]),
                "llvm.prefetch.p0i8",
            )

            def fetch_ahead(i):
                line = builder.add(builder.load(line_ahead), INT(64 * i))
                builder.call(prefetch, [builder.inttoptr(line, byte), flag(0), flag(2), flag(1)])

            def step(part=0):
                here = builder.load(at_a)
                lines = [load(p, vector) for p in vectors_at(builder.load(at_b), b_panel)]
                for r in range(m):
                    scalar = load(row(here, a_row, r), element)
                    first = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), scalar, INT(0)
                    )
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
                    number = builder.shuffle_vector(first, first, mask)
                    for v in range(wide):
                        total = sums[part][r * wide + v]
                        builder.store(
                            builder.call(fma, [number, lines[v], builder.load(total)]), total
                        )
                advance(at_a, a_k)
                advance(at_b, b_k)

            def loop(counter, by, body):
                """While the counter is at least ``by``: body, and count down."""
                test = builder.append_basic_block("test")
                inside = builder.append_basic_block("inside")
                after = builder.append_basic_block("after")
                builder.branch(test)
                builder.position_at_end(test)
                enough = builder.icmp_signed(">=", builder.load(counter), INT(by))
                builder.cbranch(enough, inside, after)
                builder.position_at_end(inside)
                body()
                advance(counter, INT(-by))
                builder.branch(test)
                builder.position_at_end(after)

            def several():
                for i in range(UNROLL):
                    fetch_ahead(i)
                    step(i % parts)
                advance(line_ahead, ahead_step)

            def one_block():
                start = builder.load(at_a)
                left = variable(K)
                loop(left, UNROLL, several)
                loop(left, 1, step)
                builder.store(builder.add(start, a_block), at_a)

            loop(block, 1, one_block)
            for r in range(m):
                for v, place in enumerate(vectors_at(row(c, c_row, r), c_panel)):
                    values = [builder.load(own[r * wide + v]) for own in sums]
                    while len(values) > 1:
                        pairs = zip(values[::2], values[1::2], strict=True)
                        values = [builder.fadd(*pair) for pair in pairs]
                    (value,) = values
                    builder.store(value, pointer(place, vector)).align = size
            return context.get_dummy_value()

        return types.void(kind, *[types.int64] * 17), generate

    product.__name__ = f"tile_{m}x{n}x{panels}x{parts}"
    return intrinsic(product)
