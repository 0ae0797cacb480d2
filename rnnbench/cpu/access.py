"""Vectors and single numbers at addresses; a kernel's kind says of which numbers."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from rnnbench.cpu.simd import Vector


def vector_at(builder, address, vector: Vector):
    """Pointer to the vector at an address."""
    return builder.inttoptr(address, vector.llvm.as_pointer())


@intrinsic
def fetch(typing, kind, address):
    """The vector at an address, of the kind's numbers."""
    vector = Vector(kind.element)

    def generate(context, builder, signature, args):
        value = builder.load(vector_at(builder, args[1], vector))
        value.align = vector.element.bitwidth // 8
        return value

    return vector(kind, types.int64), generate


@intrinsic
def put(typing, kind, address, value):
    """Put a vector at an address."""
    if value != Vector(kind.element):
        return None

    def generate(context, builder, signature, args):
        pointer = vector_at(builder, args[1], value)
        builder.store(args[2], pointer).align = value.element.bitwidth // 8
        return context.get_dummy_value()

    return types.void(kind, types.int64, value), generate


@intrinsic
def nought(typing, kind):
    """A vector of zeros of the kind's numbers."""
    vector = Vector(kind.element)
    return vector(kind), lambda context, builder, sig, args: vector.constant(0.0)


@intrinsic
def fetch_one(typing, kind, address):
    """The single number at an address."""

    def generate(context, builder, signature, args):
        pointer = context.get_value_type(kind.element).as_pointer()
        return builder.load(builder.inttoptr(args[1], pointer))

    return kind.element(kind, types.int64), generate


@intrinsic
def put_one(typing, kind, address, value):
    """Put a single number at an address."""

    def generate(context, builder, signature, args):
        pointer = context.get_value_type(kind.element).as_pointer()
        builder.store(args[2], builder.inttoptr(args[1], pointer))
        return context.get_dummy_value()

    return types.void(kind, types.int64, kind.element), generate


@intrinsic
def transpose(typing, kind, out, out_step, source, source_step):
    """As many vectors as each has lanes: lane j of vector i goes to lane i of vector j."""
    vector = Vector(kind.element)

    def generate(context, builder, signature, args):
        _, out, out_step, source, source_step = args
        integer = ir.IntType(64)

        def at(base, step, i):
            address = builder.add(base, builder.mul(step, integer(i)))
            return vector_at(builder, address, vector)

        rows = []
        for i in range(vector.lanes):
            rows.append(builder.load(at(source, source_step, i)))
            rows[-1].align = vector.element.bitwidth // 8
        span = 1
        while span < vector.lanes:  # exchange blocks of span × span
            for i in range(vector.lanes):
                if i & span:
                    continue
                a, b = rows[i], rows[i + span]
                for row, odd in ((i, 0), (i + span, span)):
                    lanes = [
                        vector.lanes + j - span + odd if j & span else j + odd
                        for j in range(vector.lanes)
                    ]
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), lanes)
                    rows[row] = builder.shuffle_vector(a, b, mask)
            span *= 2
        for i, row in enumerate(rows):
            place = at(out, out_step, i)
            builder.store(row, place).align = vector.element.bitwidth // 8
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 4), generate


@intrinsic
def element_bytes(typing, kind):
    """How many bytes a number of the kind takes."""
    count = kind.element.bitwidth // 8
    return types.int64(kind), lambda context, builder, sig, args: ir.IntType(64)(count)


@intrinsic
def zero_of(typing, kind):
    """A single 0 of the kind's numbers."""
    number = kind.element

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(number), 0.0)

    return number(kind), generate
