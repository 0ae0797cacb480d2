"""A vector of numbers as one Numba number: the equations, unchanged, become vector code.

A ``Vector`` holds as many floats as a register of the host. It has + − × ÷ and negation, is loaded
from and stored to arrays whose rows are padded to whole vectors, and never meets a branch: a choice
is ``where_less`` or ``where_nan``. Nothing is left to the auto-vectoriser, which gives up on a loop
with as many arrays as a cell has.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

from rnnbench.cpu.jit import vector_bytes


class Vector(types.Type):
    """The type; ``element`` is float32 or float64."""

    def __init__(self, element):
        self.element = element
        self.lanes = vector_bytes() * 8 // element.bitwidth
        super().__init__(f"Vector({element} x {self.lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        single = ir.FloatType() if self.element == types.float32 else ir.DoubleType()
        return ir.VectorType(single, self.lanes)

    @property
    def suffix(self) -> str:
        """As LLVM's intrinsics name it."""
        return f"v{self.lanes}f{self.element.bitwidth}"

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.llvm, [value] * self.lanes)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


def define_operator(symbol, count: int, emit: str) -> None:
    """An operator of ``count`` vectors of one type, lowered to the LLVM instruction ``emit``."""

    @infer_global(symbol)
    class Template(AbstractTemplate):
        def generic(self, args, keywords):
            if len(args) == count and isinstance(args[0], Vector) and len(set(args)) == 1:
                return signature(args[0], *args)
            return None

    @lower_builtin(symbol, *[Vector] * count)
    def lower(context, builder, signature, args):
        return getattr(builder, emit)(*args)


for _symbol, _emit in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    define_operator(getattr(operator, _symbol), 2, _emit)
define_operator(operator.neg, 1, "fneg")


def place(context, builder, kind, array, index, vector: Vector):
    """Pointer to the vector that begins at a flat index of a C-contiguous array."""
    data = make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.llvm.as_pointer())


@intrinsic
def load(typing, array, index):
    """The vector at a flat index of an array."""
    vector = Vector(array.dtype)

    def generate(context, builder, signature, args):
        value = builder.load(place(context, builder, signature.args[0], *args, vector))
        value.align = vector.element.bitwidth // 8
        return value

    return vector(array, types.intp), generate


@intrinsic
def store(typing, array, index, value):
    """Put a vector at a flat index of an array."""
    if not isinstance(value, Vector) or value.element != array.dtype:
        return None

    def generate(context, builder, signature, args):
        pointer = place(context, builder, signature.args[0], *args[:2], value)
        builder.store(args[2], pointer).align = value.element.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def lanes_of(typing, array):
    """How many numbers of an array's dtype a vector holds."""
    count = Vector(array.dtype).lanes
    return types.intp(array), lambda context, builder, sig, args: ir.Constant(ir.IntType(64), count)


@intrinsic
def splat(typing, like, value):
    """A constant in every lane; ``value`` is a literal of the source, ``like`` a vector."""

    def generate(context, builder, signature, args):
        single = context.cast(builder, args[1], signature.args[1], like.element)
        first = builder.insert_element(like.constant(ir.Undefined), single, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), like.lanes), None)
        return builder.shuffle_vector(first, first, mask)

    return like(like, value), generate


@intrinsic
def where_less(typing, a, b, yes, no):
    """yes where a < b, else no (also where a or b is NaN)."""

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return a(a, a, a, a), generate


@intrinsic
def where_nan(typing, a, yes, no):
    """yes where a is NaN, else no."""

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_unordered("uno", args[0], args[0]), args[1], args[2])

    return a(a, a, a), generate


def llvm_function(name: str, count: int):
    """LLVM's intrinsic of that name, on ``count`` vectors of one type."""

    def build(vector):
        def generate(context, builder, signature, args):
            kind = ir.FunctionType(vector.llvm, [vector.llvm] * count)
            full_name = f"llvm.{name}.{vector.suffix}"
            called = cgutils.get_or_insert_function(builder.module, kind, full_name)
            return builder.call(called, args)

        return vector(*[vector] * count), generate

    one, two, three = lambda t, a: build(a), lambda t, a, b: build(a), lambda t, a, b, c: build(a)
    call = (one, two, three)[count - 1]
    call.__name__ = f"llvm_{name}"
    return intrinsic(call)


floor = llvm_function("floor", 1)
absolute = llvm_function("fabs", 1)
copy_sign = llvm_function("copysign", 2)
multiply_add = llvm_function("fmuladd", 3)  # fused where the host can


def words(y: Vector) -> tuple[ir.VectorType, int, int]:
    """The integers as wide as the floats of y; the bits of a float's fraction; its bias."""
    width = y.element.bitwidth
    return ir.VectorType(ir.IntType(width), y.lanes), *((23, 127) if width == 32 else (52, 1023))


@intrinsic
def power_of_two(typing, t):
    """The positive float whose exponent bits are the lowest bits of the float t."""
    kind, fraction, _ = words(t)

    def generate(context, builder, signature, args):
        bits = builder.bitcast(args[0], kind)
        shifted = builder.shl(bits, ir.Constant(kind, [fraction] * t.lanes))
        return builder.bitcast(shifted, t.llvm)

    return t(t), generate


def scale(builder, vector: Vector, y, n):
    """y · 2**n by the instruction that AVX-512 has for it."""
    mask, rounding = ir.IntType(vector.lanes), ir.IntType(32)
    kind = ir.FunctionType(vector.llvm, [*[vector.llvm] * 3, mask, rounding])
    letter = "s" if vector.element.bitwidth == 32 else "d"
    name = f"llvm.x86.avx512.mask.scalef.p{letter}.512"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    as_always = rounding(4)
    return builder.call(function, [y, n, vector.constant(0.0), mask(-1), as_always])


@intrinsic
def times_power_of_two(typing, y, n):
    """y · 2**n for whole n from −2·bias to 2·bias, rounded once, or to 0 or to infinity."""
    kind, fraction, bias = words(y)

    def generate(context, builder, signature, args):
        y_value, n_value = args
        if vector_bytes() == 64:  # AVX-512
            return scale(builder, y, y_value, n_value)
        # In two steps, as 2**n alone may be too large or too small a float. The lowest bits of
        # ``shifted`` spell n + 2·bias.
        shifted = builder.fadd(n_value, y.constant(1.5 * 2.0**fraction + 2 * bias))
        bits = builder.bitcast(shifted, kind)
        half = builder.lshr(bits, ir.Constant(kind, [1] * y.lanes))
        for part in (half, builder.sub(bits, half)):
            power = builder.shl(part, ir.Constant(kind, [fraction] * y.lanes))
            y_value = builder.fmul(y_value, builder.bitcast(power, y.llvm))
        return y_value

    return y(y, n), generate


@intrinsic
def exponent(typing, y):
    """The whole number n, as a float, for which √½ ≤ y / 2**n < √2; y positive, normal, finite."""
    word = ir.VectorType(ir.IntType(y.element.bitwidth), y.lanes)
    # Bits of √½, rounded up. Less these, the bits of y in [√½, √2) run from 0 to below 2**mantissa.
    mantissa, root = (23, 0x3F3504F4) if y.element.bitwidth == 32 else (52, 0x3FE6A09E667F3BCD)

    def generate(context, builder, signature, args):
        bits = builder.bitcast(args[0], word)
        above = builder.sub(bits, ir.Constant(word, [root] * y.lanes))
        whole = builder.ashr(above, ir.Constant(word, [mantissa] * y.lanes))
        return builder.sitofp(whole, y.llvm)

    return y(y), generate
