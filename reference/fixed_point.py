"""Products of fixed-point numbers that can be undone: Python's integers, one number at a time.

A state is an integer k, a factor from above 0 to 1 an integer z standing for z / 2^24, and the
buffer of what is dropped one integer, as large as it gets: digits of varying base, the last one
lowest.
"""

ONE = 2**24


def shrink(k: int, z: int, buffer: int) -> tuple[int, int]:
    """k z / 2^24, rounded, ties upward; and the buffer with the place of k among the integers that
    round to it as the lowest digit."""
    product = _rounded(k, z)
    first, count = _alike(product, z)
    return product, buffer * count + (k - first)


def grow(product: int, z: int, buffer: int) -> tuple[int, int]:
    """k, and the buffer as it was before `shrink`."""
    first, count = _alike(product, z)
    return first + buffer % count, buffer // count


def _rounded(k: int, z: int) -> int:
    return (2 * k * z + ONE) // (2 * ONE)


def _alike(product: int, z: int) -> tuple[int, int]:
    """The first integer that rounds to the product, and how many do: found by looking."""
    first = product * ONE // z
    while _rounded(first, z) >= product:
        first -= 1
    while _rounded(first, z) < product:
        first += 1
    count = 1
    while _rounded(first + count, z) == product:
        count += 1
    return first, count


def multiply(k: int, z: int, buffer: int, one: int = ONE) -> tuple[int, int]:
    """Algorithm 1 of MacKay et al. 2018 (arXiv:1810.10999), from Maclaurin, Duvenaud & Adams 2015
    (arXiv:1502.03492): k z / one with its low bits from the buffer, which gets those of k."""
    buffer = buffer * one + k % one
    k = (k // one) * z + buffer % z
    return k, buffer // z


def divide(k: int, z: int, buffer: int, one: int = ONE) -> tuple[int, int]:
    """The inverse of `multiply`."""
    buffer = buffer * z + k % z
    k = (k // z) * one + buffer % one
    return k, buffer // one
