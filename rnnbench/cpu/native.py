"""What kernels need below Numba: words of a table, calls by address, atomics, a spinning wait.

Kernels know each other by address, so each is compiled once, whatever calls it. All have one form,
``void(kind, int64, …)``: the kind, a type without a value, says which numbers or which cell.
"""

import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from rnnbench.cpu.jit import device, host

INT = ir.IntType(64)


class Kind(types.Opaque):
    """No value at run time. ``element``: the numbers that a kernel works on, where it does."""

    def __init__(self, name: str, element=None):
        self.element = element
        super().__init__(name)


register_model(Kind)(models.OpaqueModel)
NOTHING = Kind("Nothing")


def numbers(dtype) -> Kind:
    """The kind of kernels that work on numbers of a dtype, whatever the cell."""
    element = types.float32 if str(dtype) == "float32" else types.float64
    return Kind(f"Numbers({element})", element)


@intrinsic
def word(typing, address, index):
    """The int64 at an address, ``index`` words on."""

    def generate(context, builder, signature, args):
        return builder.load(builder.gep(builder.inttoptr(args[0], INT.as_pointer()), [args[1]]))

    return types.int64(types.int64, types.int64), generate


def caller(count: int):
    """The intrinsic (address, ``count`` integers) that calls the kernel at an address."""

    def invoke(typing, address, arguments):
        def generate(context, builder, signature, args):
            convention = context.call_conv
            kinds = (NOTHING, *[types.int64] * count)
            form = convention.get_function_type(types.none, kinds).as_pointer()
            called = builder.inttoptr(args[0], form)
            values = cgutils.unpack_tuple(builder, args[1], count)
            dummy = context.get_constant_null(NOTHING)
            convention.call_function(builder, called, types.none, kinds, [dummy, *values])
            return context.get_dummy_value()

        return types.void(types.int64, types.UniTuple(types.int64, count)), generate

    invoke.__name__ = f"invoke{count}"
    return intrinsic(invoke)


invoke2, invoke8, invoke19 = caller(2), caller(8), caller(19)


@intrinsic
def load_acquire(typing, address):
    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], INT.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def store_release(typing, address, value):
    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], INT.as_pointer())
        builder.store_atomic(args[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def read_modify_write(operation: str):
    """The intrinsic (address, value) -> the old value, in one global order with all others."""

    def build(typing, address, value):
        def generate(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], INT.as_pointer())
            return builder.atomic_rmw(operation, pointer, args[1], "seq_cst")

        return types.int64(types.int64, types.int64), generate

    build.__name__ = f"atomic_{operation}"
    return intrinsic(build)


fetch_add, exchange = read_modify_write("add"), read_modify_write("xchg")


PAUSE = ("llvm.x86.sse2.pause", ())
if host()[0].startswith(("aarch64", "arm64")):
    PAUSE = ("llvm.aarch64.hint", (1,))


@intrinsic
def rest(typing):
    """A moment for the other threads of this core."""

    def generate(context, builder, signature, args):
        name, values = PAUSE
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)] * len(values))
        pause = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(pause, [ir.IntType(32)(v) for v in values])
        return context.get_dummy_value()

    return types.void(), generate


# Linux: a thread that waits for long sleeps in the kernel until it is woken (a futex). Elsewhere it
# gives its processor to others, over and over.
SYSCALL = {"x86_64": 202, "aarch64": 98}.get(host()[0].partition("-")[0], 0)
SLEEPS = sys.platform == "linux" and SYSCALL > 0
WAIT, WAKE, ALL = 128, 129, 1 << 30
_system = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))
_give_way = types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32()
)
PATIENCE = 4000  # rests before that: about 60 µs, more than threads that both run differ


if SLEEPS:

    @device
    def doze(address, value, sleepers):
        """Sleep unless the word at an address has changed already."""
        fetch_add(sleepers, 1)
        _system(SYSCALL, address, WAIT, value & 0xFFFFFFFF, 0, 0, 0)
        fetch_add(sleepers, -1)

    @device
    def rouse(address, sleepers):
        if load_acquire(sleepers) > 0:
            _system(SYSCALL, address, WAKE, ALL, 0, 0, 0)

else:

    @device
    def doze(address, value, sleepers):
        """Give way once."""
        _give_way()

    @device
    def rouse(address, sleepers):
        pass


@device
def wait_while(address, value, sleepers):
    """Until the word at an address is another; it is returned. ``sleepers``: address of a count."""
    tries = 0
    now = load_acquire(address)
    while now == value:
        tries += 1
        if tries > PATIENCE:
            doze(address, value, sleepers)
        else:
            rest()
        now = load_acquire(address)
    return now


@device
def announce(address, value, sleepers):
    """Set a word that others wait for."""
    exchange(address, value)  # before the sleepers are counted, in the order that all see
    rouse(address, sleepers)


@device
def barrier(address, parts):
    """Returns when all ``parts`` threads have come. Its 16 words begin as zeros."""
    if parts == 1:
        return
    turn = load_acquire(address + 64)
    if fetch_add(address, 1) == parts - 1:
        store_release(address, 0)
        announce(address + 64, turn + 1, address + 72)
    else:
        wait_while(address + 64, turn, address + 72)
