"""Shapes as named data, in one place: benchmarks, ``rnnbench compare`` and tests all read it.

T time steps, B batch, I input size, H hidden size. A shape's name says its numbers: T50B32H128
has I = H, T5B3I4H7 has not.
"""

import re
from typing import NamedTuple

from rnnbench.errors import InputError, unknown


class Shape(NamedTuple):
    """Sizes of one problem."""

    T: int
    B: int
    I: int
    H: int

    @property
    def name(self) -> str:
        middle = "" if self.I == self.H else f"I{self.I}"
        return f"T{self.T}B{self.B}{middle}H{self.H}"


def square(T: int, B: int, H: int) -> Shape:
    """Input as wide as the hidden state."""
    return Shape(T, B, H, H)


# From one small sequence to large batches of wide states; always run.
SMALL = (
    square(100, 1, 64),
    square(100, 1, 256),
    square(50, 8, 128),
    square(50, 32, 128),
    square(50, 64, 256),
    square(25, 16, 512),
    square(25, 64, 512),
    square(25, 32, 1024),
)
# For smoke tests of the machinery: odd sizes, over in milliseconds.
TINY = (Shape(5, 3, 4, 7), Shape(4, 1, 9, 16))

# DeepBench (Baidu Research, github.com/baidu-research/DeepBench, code/kernels/rnn_problems.h),
# named after the networks they come from; any cell runs at any of them. I = H. DeepBench leaves
# the input product out of its timing; here it is timed. The largest need tens of gigabytes.
VANILLA = tuple(square(50, B, H) for H in (1760, 2048, 2560) for B in (16, 32, 64, 128))
LSTM = (
    *(square(25, B, H) for H in (512, 1024, 2048, 4096) for B in (16, 32, 64, 128)),
    *(square(50, B, 1536) for B in (8, 16, 32)),
    *(square(150, B, 256) for B in (16, 32, 64)),
)
GRU = (
    *(square(T, 32, H) for H in (2816, 2048, 1536, 2560) for T in (1500, 750, 375, 187)),
    square(1, 32, 512),
    *(square(1500, B, 1024) for B in (32, 64)),
)
SERVER = tuple(
    square(T, B, H)
    for T, H in ((25, 512), (25, 1024), (25, 2048), (50, 1536), (150, 256))
    for B in (1, 2, 4)
)

SETS: dict[str, tuple[Shape, ...]] = {
    "small": SMALL,
    "tiny": TINY,
    "deepbench": (*VANILLA, *LSTM, *GRU, *SERVER),
    "deepbench-vanilla": VANILLA,
    "deepbench-lstm": LSTM,
    "deepbench-gru": GRU,
    "deepbench-server": SERVER,
}


def get_shape(name: str) -> Shape:
    """The shape of that name. InputError unless it reads T..B..H.. or T..B..I..H.., all ≥ 1."""
    match = re.fullmatch(r"T(\d+)B(\d+)(?:I(\d+))?H(\d+)", name)
    if not match or any(n is not None and int(n) < 1 for n in match.groups()):
        raise InputError(f"shape is {name!r}; needs a name like T50B32H128 or T5B3I4H7")
    T, B, inputs, H = match.groups()
    return Shape(int(T), int(B), int(inputs or H), int(H))


def get_set(name: str) -> tuple[Shape, ...]:
    """The shapes of a named set. InputError if there is none."""
    if name not in SETS:
        raise unknown("set of shapes", name, SETS)
    return SETS[name]
