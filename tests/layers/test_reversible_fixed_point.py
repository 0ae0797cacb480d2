"""Fixed-point numbers: exact products, exact undoing, as few bits as stated."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.layers.fixed_point import ONE, BitStack, Grid, alike, factor, fixed_factor, shrink
from rnnbench_reference import fixed_point as reference

FACTORS = [ONE, ONE - 1, ONE // 2 + 1, ONE // 2, ONE // 3, ONE // 8 + 1, ONE // 8, ONE >> 5]


def numbers(seed=0):
    """Small and large whole numbers of both signs, the largest that float64 counts in."""
    rng = np.random.default_rng(seed)
    small = np.arange(-40, 41)
    large = rng.integers(-(2**53), 2**53, 200)
    return np.concatenate([small, large, [2**53 - 1, 1 - 2**53, ONE, -ONE]])


@pytest.mark.parametrize("z", FACTORS)
def test_a_product_and_back_against_the_reference(z):
    """Equal whole numbers, and the place is the buffer's lowest digit."""
    k = numbers()
    product, place, count = shrink(k, np.int64(z))
    first, again = alike(product, np.int64(z))
    np.testing.assert_array_equal(first + place, k)
    np.testing.assert_array_equal(again, count)
    for i, value in enumerate(k.tolist()):
        want, buffer = reference.shrink(value, z, 12345)
        assert product[i] == want
        assert buffer == 12345 * int(count[i]) + int(place[i])
        assert reference.grow(want, z, buffer) == (value, 12345)


@pytest.mark.parametrize("n", range(1, 17))
def test_no_product_loses_more_than_n_bits(n):
    rng = np.random.default_rng(n)
    k = rng.integers(-(2**53), 2**53, 500)
    z = np.concatenate([[ONE >> n], rng.integers(ONE >> n, ONE + 1, 499)])
    product, place, count = shrink(k, z)
    assert count.min() >= 1 and count.max() <= 2**n
    assert (place >= 0).all() and (place < count).all()
    # exact, in Python's integers: off by at most half of one
    for value, zi, p in zip(k.tolist(), z.tolist(), product.tolist(), strict=True):
        assert abs(2 * (value * zi - p * ONE)) <= ONE


def test_the_factor_one_costs_nothing():
    k = numbers()
    product, place, count = shrink(k, np.int64(ONE))
    np.testing.assert_array_equal(product, k)
    assert not place.any() and (count == 1).all()


@pytest.mark.parametrize("z", [0.5, 0.75, 0.9, 0.99])
def test_bits_that_a_product_loses_on_average(z):
    """2(1−z) from ½ to 1; log₂(1/z) is the least there can be. 20 000 numbers: ±1 %."""
    k = np.random.default_rng(5).integers(-(2**40), 2**40, 20_000)
    stack = BitStack()
    _, place, count = shrink(k, fixed_factor(z))
    stack.push(place, count)
    bits = len(stack) / k.size
    assert bits == pytest.approx(2 * (1 - z), abs=0.01)
    assert bits >= np.log2(1 / z) - 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_are_exact_in_either_dtype(dtype):
    z = np.random.default_rng(1).integers(1, ONE + 1, 1000)
    np.testing.assert_array_equal(fixed_factor(factor(z, dtype)), z)
    assert factor(z, dtype).dtype == dtype


# -- the stack of bits -----------------------------------------------------------------------------


def pushed(seed=0):
    """A stack, and what was pushed: arrays of values below bounds of 1 to 2^16."""
    rng, stack, pairs = np.random.default_rng(seed), BitStack(), []
    for size in (1, 7, 8, 9, 40):
        bounds = 2 ** rng.integers(0, 17, (3, size)) - rng.integers(0, 2, (3, size))
        bounds = np.maximum(bounds, 1)
        values = rng.integers(0, bounds)
        pairs.append((values, bounds))
        stack.push(values, bounds)
    return stack, pairs


def test_last_in_first_out():
    stack, pairs = pushed()
    for values, bounds in reversed(pairs):
        np.testing.assert_array_equal(stack.pop(bounds), values)
    assert len(stack) == 0


def test_size_of_the_stack():
    """⌈log₂ bound⌉ bits a value, and for each weight at most 7 more."""
    stack, pairs = pushed()
    least = sum(int(b - 1).bit_length() for _, bounds in pairs for b in bounds.flat)
    assert least <= len(stack) <= least + 7 * 16 * len(pairs)
    empty = BitStack()
    empty.push(np.zeros((2, 3), np.int64), np.ones((2, 3), np.int64))
    assert len(empty) == 0


def test_a_copy_is_another_stack():
    stack, pairs = pushed()
    copy, size = stack.copy(), len(stack)
    copy.pop(pairs[-1][1])
    assert len(copy) < len(stack) == size


def test_a_missing_byte_is_noticed():
    stack, pairs = pushed()
    del stack.content[:1]
    with pytest.raises(RuntimeError, match="ran out"):
        for _, bounds in reversed(pairs):
            stack.pop(bounds)


# -- which floats are such numbers -----------------------------------------------------------------


@pytest.mark.parametrize("dtype, bits", [(np.float32, 20), (np.float32, 5), (np.float64, 49)])
def test_a_grid_is_exact(dtype, bits):
    """Every whole number in the range is a float and comes back."""
    grid = Grid(np.dtype(dtype), bits)
    top = grid.limit - 1
    assert top == 2 ** (24 if dtype == np.float32 else 53) - 1
    k = np.random.default_rng(2).integers(-top, top + 1, 1000)
    k[:3] = [top, -top, 0]
    values = grid.floats(k)
    assert values.dtype == dtype
    np.testing.assert_array_equal(grid.fixed(values, "h"), k)
    assert np.abs(values).max() < grid.limit / 2**bits
    rounded = np.float64(0.3) * 2**bits
    assert abs(grid.fixed(np.array([0.3], dtype), "h")[0] - rounded) <= 0.5 + 0.3 * 2.0 ** (
        bits - 24
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 16.0, -1e300])
def test_what_is_no_such_number_is_refused(bad):
    grid = Grid(np.dtype(np.float64), 49)
    with pytest.raises(InputError, match=r"h is .*fraction_bits=49 in float64 holds .* below 16"):
        grid.fixed(np.array([[0.5, bad]]), "h")
    with pytest.raises(InputError, match=r"h is 16; "):
        grid.check(np.array([3, 2**53]), "h")
