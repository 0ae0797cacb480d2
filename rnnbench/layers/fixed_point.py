"""Fixed-point numbers, and a product with a fraction that can be undone bit for bit.

A state h stands for the whole number k = h · 2^bits, a forget factor z for the whole number
z · 2^24. Their product is rounded to the nearest whole number (ties upward):

    p = ⌊k z + ½⌋                           z from 2^−n to 1

Up to 2^n neighbouring k give the same p. How many do, and which is the first of them, follows from
p and z; so it is enough to keep the place of k among them, in ⌈log₂ of their number⌉ bits:

    first(p) = ⌈(p − ½) / z⌉                count = first(p+1) − first(p)
    kept     = k − first(p)                 k = first(p) + kept

A factor from ½ to 1 costs 2(1−z) bits a number on average, none at z = 1; the least that any
scheme can do is log₂(1/z) (MacKay et al. 2018, arXiv:1810.10999, section 5). In their algorithm 1,
which is that of Maclaurin, Duvenaud & Adams 2015 (arXiv:1502.03492), the low bits of the product
are filled with bits kept earlier: then what a network computes depends on what it has forgotten
and on where a sequence was cut, and the product is off by up to z · 2^24 units, not by half of
one. Here neither happens.
"""

from typing import NamedTuple

import numpy as np

from rnnbench.errors import InputError

GATE_BITS = 24  # of a factor after the point; so many are exact in float32
ONE = 1 << GATE_BITS
HALF = ONE >> 1


class Grid(NamedTuple):
    """The numbers k · 2^−bits of a dtype, |k| < 2^24 in float32 and 2^53 in float64: each is
    exactly a float, so that a state may leave as one and come back."""

    dtype: np.dtype
    bits: int

    @property
    def limit(self) -> int:
        return 1 << (np.finfo(self.dtype).nmant + 1)

    def fixed(self, values: np.ndarray, what: str) -> np.ndarray:
        """The nearest k, int64. InputError for a NaN, and outside the range."""
        with np.errstate(over="ignore"):
            scaled = np.rint(np.ldexp(values.astype(np.float64, copy=False), self.bits))
        inside = np.abs(scaled) < self.limit  # False for a NaN
        if not inside.all():
            raise self.outside(what, values[~inside].flat[0])
        return scaled.astype(np.int64)

    def floats(self, k: np.ndarray) -> np.ndarray:
        return np.ldexp(k.astype(np.float64), -self.bits).astype(self.dtype)

    def check(self, k: np.ndarray, what: str) -> np.ndarray:
        """k, or InputError where one is outside the range."""
        inside = np.abs(k) < self.limit
        if not inside.all():
            raise self.outside(what, np.ldexp(float(k[~inside][0]), -self.bits))
        return k

    def outside(self, what: str, value: float) -> InputError:
        return InputError(
            f"{what} is {value:.6g}; fixed point with fraction_bits={self.bits} in {self.dtype} "
            f"holds numbers below {self.limit / 2**self.bits:g}"
        )


def fixed_factor(z: np.ndarray) -> np.ndarray:
    """Factors in (0, 1] as whole numbers of 2^−24."""
    return np.rint(np.asarray(z, np.float64) * ONE).astype(np.int64)


def factor(z: np.ndarray, dtype) -> np.ndarray:
    """The factor that a whole number stands for, exactly."""
    return (np.asarray(z, np.float64) / ONE).astype(dtype)


def shrink(k: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The product, and what undoing it takes: the place among the numbers of that product, and
    how many those are."""
    # k z would not fit into 64 bits: high and low part by themselves
    high, low = k >> GATE_BITS, k & (ONE - 1)
    product = high * z + ((low * z + HALF) >> GATE_BITS)
    first, count = alike(product, z)
    return product, k - first, count


def alike(product: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first number of that product, and how many there are."""
    first = first_of(product, z)
    return first, first_of(product + 1, z) - first


def first_of(product: np.ndarray, z: np.ndarray) -> np.ndarray:
    """⌈(product − ½) / z⌉, with whole and rest of product / z by themselves."""
    whole, rest = np.divmod(product, z)
    return (whole << GATE_BITS) - (HALF - (rest << GATE_BITS)) // z


class BitStack:
    """Last in, first out: arrays of numbers below known bounds, each in ⌈log₂ bound⌉ bits.

    Bits of one weight lie together, filled up to a byte: at most 7 bits a weight are lost.
    """

    def __init__(self, content: bytes | bytearray = b""):
        self.content = bytearray(content)

    def __len__(self) -> int:
        return 8 * len(self.content)

    def copy(self) -> "BitStack":
        return BitStack(self.content)

    def push(self, values: np.ndarray, bounds: np.ndarray) -> None:
        for weight, wide in weights_of(bounds):
            self.content += np.packbits((values[wide] >> weight) & 1 != 0).tobytes()

    def pop(self, bounds: np.ndarray) -> np.ndarray:
        """The values pushed last, with these bounds. RuntimeError where too few bits are left."""
        values = np.zeros_like(bounds)
        for weight, wide in reversed(weights_of(bounds)):
            count = np.count_nonzero(wide)
            size = -(-count // 8)
            if size > len(self.content):
                raise RuntimeError("the buffer of forgotten bits ran out on the way back")
            packed = np.frombuffer(bytes(self.content[-size:]), np.uint8)
            del self.content[-size:]
            values[wide] |= np.unpackbits(packed, count=count).astype(np.int64) << weight
        return values


def weights_of(bounds: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(weight, which numbers have a bit of that weight), from the lowest weight up."""
    lengths = np.frexp(bounds - 1)[1]  # of the largest value in binary
    return [(weight, lengths > weight) for weight in range(lengths.max(initial=0))]
