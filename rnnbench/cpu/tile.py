"""Products of small row blocks with packed panels, in registers.

``tile(m, n)`` is an intrinsic that emits LLVM vector code for  C[r,v] += Σ_k A[r,k] · B[k,v]
over m rows and n vectors, k in order, one fused multiply-add an element and k. Every element
sees the same operations whatever tile it falls in, so results do not depend on how rows are
split. Addresses are integers and strides count elements: no array overhead in the inner loops.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rnnbench.cpu.jit import device, kernel, tile_vectors, vector_bytes

ROWS = (6, 4, 2, 1)
INT = ir.IntType(64)


def lanes(dtype) -> int:
    """Numbers in a vector."""
    return vector_bytes() // np.dtype(dtype).itemsize


def tile(m: int, n: int):
    """The intrinsic (zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K) for m×n vectors."""

    def product(typing, zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K):
        def generate(context, builder, signature, args):
            _, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K = args
            element = context.get_value_type(zero)
            size = context.get_abi_sizeof(element)
            vector = ir.VectorType(element, vector_bytes() // size)
            suffix = f"v{vector.count}f{8 * size}"
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.{suffix}"
            )

            def address(base, kind, *steps):
                for stride, count in steps:
                    offset = builder.mul(stride, count)
                    base = builder.add(base, builder.mul(offset, INT(size)))
                return builder.inttoptr(base, kind.as_pointer())

            def load(pointer):
                value = builder.load(pointer)
                value.align = size
                return value

            cells = [(r, v) for r in range(m) for v in range(n)]
            targets = [address(c, vector, (c_row, INT(r)), (c_vec, INT(v))) for r, v in cells]
            start = [load(p) for p in targets]
            entry = builder.block
            loop = builder.append_basic_block("k")
            done = builder.append_basic_block("done")
            builder.cbranch(builder.icmp_signed(">", K, INT(0)), loop, done)
            builder.position_at_end(loop)
            k = builder.phi(INT)
            sums = [builder.phi(vector) for _ in cells]
            panel = [load(address(b, vector, (b_k, k), (b_vec, INT(v)))) for v in range(n)]
            result = []
            for r in range(m):
                scalar = load(address(a, element, (a_row, INT(r)), (a_k, k)))
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, INT(0))
                mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
                wide = builder.shuffle_vector(first, first, mask)
                for v in range(n):
                    result.append(builder.call(fma, [wide, panel[v], sums[r * n + v]]))
            following = builder.add(k, INT(1))
            k.add_incoming(INT(0), entry)
            k.add_incoming(following, loop)
            for phi, first, last in zip(sums, start, result, strict=True):
                phi.add_incoming(first, entry)
                phi.add_incoming(last, loop)
            builder.cbranch(builder.icmp_signed("<", following, K), loop, done)
            builder.position_at_end(done)
            values = [builder.phi(vector) for _ in cells]
            for value, first, last in zip(values, start, result, strict=True):
                value.add_incoming(first, entry)
                value.add_incoming(last, loop)
            for value, pointer in zip(values, targets, strict=True):
                builder.store(value, pointer).align = size
            return context.get_dummy_value()

        return types.void(zero, *[types.int64] * 10), generate

    product.__name__ = f"tile_{m}x{n}"
    return intrinsic(product)


def column(n: int):
    """Any number of rows by n vectors."""
    six, four, two, one = (tile(m, n) for m in ROWS)

    @device
    def product(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K):
        while rows >= 6:
            six(zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K)
            c += 6 * c_row * size
            a += 6 * a_row * size
            rows -= 6
        if rows >= 4:
            four(zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K)
            c += 4 * c_row * size
            a += 4 * a_row * size
            rows -= 4
        if rows >= 2:
            two(zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K)
            c += 2 * c_row * size
            a += 2 * a_row * size
            rows -= 2
        if rows == 1:
            one(zero, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, K)

    return product


column1, column2, column3, column4 = (column(n) for n in (1, 2, 3, 4))
WIDEST = tile_vectors()


@kernel
def panel_product(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K, vectors):
    """C (rows × vectors) += A (rows × K) · B (K × vectors); addresses in bytes, strides in
    elements, ``size`` bytes an element."""
    while vectors > 0:
        n = min(vectors, WIDEST)
        if n == 4:
            column4(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K)
        elif n == 3:
            column3(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K)
        elif n == 2:
            column2(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K)
        else:
            column1(zero, size, c, c_row, c_vec, a, a_row, a_k, b, b_k, b_vec, rows, K)
        c += n * c_vec * size
        b += n * b_vec * size
        vectors -= n


K_BLOCK = 256  # rows of a panel that stay in the first-level cache between row tiles


@kernel
def product(c, c_at, c_row, c_vec, c_block, a, a_at, a_row, a_k, panels, backwards, rows, K):
    """C += A · B over a whole packed matrix.

    c, a: 1-D arrays with element offsets ``c_at``, ``a_at``; panels (blocks, K, n, lanes); block i
    adds to C at offset i·c_block. ``backwards`` sums k from K−1 down to 0, so that a sum over time
    can go on where a later chunk's ended, bit for bit.
    """
    blocks, _, n, width = panels.shape
    zero, size = c.dtype.type(0), c.itemsize
    b_k = n * width
    first, step = 0, 1
    if backwards:
        first, step = K - 1, -1
    for k0 in range(0, K, K_BLOCK):
        depth = min(K_BLOCK, K - k0)
        start = first + step * k0
        for i in range(blocks):
            panel_product(
                zero,
                size,
                c.ctypes.data + (c_at + i * c_block) * size,
                c_row,
                c_vec,
                a.ctypes.data + (a_at + start * a_k) * size,
                a_row,
                step * a_k,
                panels.ctypes.data + (i * panels.shape[1] + start) * b_k * size,
                step * b_k,
                width,
                rows,
                depth,
                n,
            )
