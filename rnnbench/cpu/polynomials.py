"""Polynomials and their quotients on vectors; coefficients with the highest power first."""

import functools

from rnnbench.cpu.jit import device
from rnnbench.cpu.simd import multiply_add, splat


def polynomial(coefficients):
    """Horner's scheme."""
    first, *rest = coefficients
    if len(rest) == 1:
        (last,) = rest
        return device(lambda x: multiply_add(splat(x, first), x, splat(x, last)))
    inner = polynomial(coefficients[:-1])
    last = coefficients[-1]
    return device(lambda x: multiply_add(inner(x), x, splat(x, last)))


def estrin(coefficients):
    """By pairs, down to three terms: fewer operations that wait for one another."""

    def join(above, power, below):
        return device(lambda x: multiply_add(above(x), power(x), below(x)))

    def constant(value):
        return device(lambda x: splat(x, value))

    def squared(power):
        return device(lambda x: power(x) * power(x))

    terms, power = [constant(c) for c in coefficients], device(lambda x: x)
    while len(terms) > 3:
        odd = len(terms) % 2
        pairs = zip(terms[odd::2], terms[odd + 1 :: 2], strict=True)
        terms = [*terms[:odd], *(join(a, power, b) for a, b in pairs)]
        power = squared(power)
    first, *rest = terms
    return functools.reduce(lambda above, below: join(above, power, below), rest, first)


def quotient(top, bottom):
    above, below = polynomial(top), polynomial(bottom)
    return device(lambda z: above(z) / below(z))
