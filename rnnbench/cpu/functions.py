"""The functions of ``equations/functions.py`` on this target."""

import functools
import math

from numba import types
from numba.extending import overload

from rnnbench.bind import bind
from rnnbench.cpu.jit import device
from rnnbench.equations import functions


def typed(x, v):
    """v in x's type."""
    raise NotImplementedError


@overload(typed)
def _typed(x, v):
    if isinstance(x, types.Float):
        number = x
        return lambda x, v: number(v)


STUBS = {
    functions.const: device(lambda x, v: typed(x, v)),
    functions.exp: device(lambda x: math.exp(x)),
    functions.tanh: device(lambda x: math.tanh(x)),
}


@functools.cache
def equation(function):
    """An equation compiled for this target; its other stubs are plain Python over these three."""
    return bind(function, device, STUBS)
