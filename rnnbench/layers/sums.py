"""Sums of the parameters' gradients over many passes back: chunk after chunk of a sequence.

Every pass gives gradients of its own; where they are added up afterwards, the order of the sum, and
so its last bits, depend on where the chunks' edges are. What goes on with one sum does not, and
that is what a target may bring, made by its ``accumulator()`` (``Total`` says what it has to do).
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

BLOCK = 1024  # rows


class Total:
    """The parameters' gradients, added up one pass after another.

    In its place a target (a layer) may bring what has the bits of one pass over everything:
        backward(tape, dy, dstate)  as the target's (the layer's); its result's ``params`` are not
                                    looked at, and may be None
        result()                    the sum, name -> array, once the last pass is over
    """

    def __init__(self, backward: Callable):
        self._backward, self._total = backward, None

    def backward(self, tape, dy, dstate):
        found = self._backward(tape, dy, dstate)
        if self._total is None:
            self._total = dict(found.params)
        else:
            # asarray: the sum of two 0-d arrays would be a scalar
            self._total = {k: np.asarray(v + found.params[k]) for k, v in self._total.items()}
        return found

    def result(self) -> dict[str, np.ndarray]:
        return self._total


class Checked:
    """The sums of a layer behind its edge: passes are given as to ``Layer.backward``."""

    def __init__(self, layer, sums):
        self.layer, self.sums = layer, sums

    def backward(self, tape, dy=None, dstate: Mapping | None = None):
        return self.layer.checked_backward(self.sums.backward, tape, dy, dstate)

    def result(self) -> dict[str, np.ndarray]:
        return self.sums.result()


class Rows:
    """dW = Σ drowᵀ row (N,K) and db = Σ drow (N,) of a dense map, over rows that come in parts, the
    last ones first.

    They are added up in blocks of ``BLOCK`` rows, counted from the last row: the same products
    and the same sums wherever the parts begin. Rows of a block that is not full yet are kept.
    """

    def __init__(self, target):
        self.target, self.found, self.left = target, None, ()

    def add(self, drows: np.ndarray, rows: np.ndarray) -> None:
        """drows (n,N), rows (n,K): they stand before all so far."""
        given = drows, rows
        if self.left:
            given = [np.concatenate(pair) for pair in zip(given, self.left, strict=True)]
        *full, rest = blocks(len(given[0]))
        for block in full:
            self.add_block(*(values[block] for values in given))
        # copies: views would hold all rows
        self.left = [values[rest].copy() for values in given]

    def add_block(self, drows: np.ndarray, rows: np.ndarray) -> None:
        # a float32 sum of thousands of rows keeps its precision only in float64
        found = self.target.matmul(drows.T, rows), drows.sum(axis=0, dtype=np.float64)
        if self.found is not None:
            found = [a + b for a, b in zip(self.found, found, strict=True)]
        self.found = found

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """(dW, db); at least one part was added, perhaps of no rows."""
        if len(self.left[0]) or self.found is None:
            self.add_block(*self.left)
            self.left = [values[:0] for values in self.left]
        dW, db = self.found
        return dW, db.astype(dW.dtype)


def blocks(count: int) -> Iterator[slice]:
    """The full blocks of ``count`` rows, from the end, then the fewer rows before them."""
    end = count
    while end >= BLOCK:
        yield slice(end - BLOCK, end)
        end -= BLOCK
    yield slice(0, end)
