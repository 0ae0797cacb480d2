"""Chunks of a sequence: any steps [t0, t1) of it, on any target, of a cell or of a layer.

Here stands what a chunk needs beside x: the state it starts from, how many of its steps each
sequence still runs, its part of the per-step inputs, and its part of the gradient at y.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import as_array, check_inputs, check_lengths, infer_sizes
from rnnbench.errors import InputError, shown
from rnnbench.layers.layer import Layer
from rnnbench.layers.sums import Total
from rnnbench.problem import Prepared

EVERY_ROW = slice(None)


class Chunk(NamedTuple):
    """y (t1-t0,B,H); final: the states at t1, name -> (B,width), nobody else's; tape or None."""

    y: np.ndarray
    final: dict[str, np.ndarray]
    tape: Any


def within(lengths: np.ndarray, t0: int, t1: int, rows: slice) -> np.ndarray | None:
    """How many of the steps [t0,t1) each of these sequences has; None where all have all."""
    inside = np.clip(lengths[rows] - t0, 0, t1 - t0)
    return None if inside.min() == t1 - t0 else inside


class CellChunks:
    """The chunks of x (T,B,I) for a cell. InputError for wrong lengths, parameters or inputs."""

    def __init__(self, target, cell, params, x: np.ndarray, lengths, inputs):
        T, B, size = x.shape
        self.target, self.cell, self.params, self.x = target, cell, params, x
        self.lengths = check_lengths(lengths, T, B)
        built = get_cell(cell)
        prepared = isinstance(params, Prepared)
        sizes = params.sizes if prepared else infer_sizes(built, params, size)
        # over the whole sequence: a default such as the step's number must not start anew
        self.inputs = check_inputs(built, inputs, T, B, sizes, x.dtype)
        if not prepared and hasattr(target, "prepare"):  # once for all chunks
            self.params = target.prepare(built, params)

    def forward(self, t0: int, t1: int, state, keep: bool, rows: slice = EVERY_ROW) -> Chunk:
        """Run these steps of these sequences from ``state``, which has these rows alone."""
        inside = within(self.lengths, t0, t1, rows)
        now = {name: values[t0:t1, rows] for name, values in self.inputs.items()}
        x = self.x[t0:t1, rows]
        found = self.target.forward(self.cell, self.params, x, state, inside, now, tape=keep)
        # copies: views would hold the whole history
        final = {name: history[-1].copy() for name, history in found.states.items()}
        return Chunk(found.y, final, found.tape)

    def backward(self, tape, dy=None, dstate=None):
        return self.target.backward(tape, dy, dstate)

    def accumulator(self):
        make = getattr(self.target, "accumulator", None)
        return Total(self.target.backward) if make is None else make()


class LayerChunks:
    """The chunks of x (T,B,I) for a layer. An input that is not per step, whose first axis is then
    the batch, goes to each chunk whole.

    whole: there is but one chunk. InputError for wrong lengths or inputs, and for a layer that is
    not causal unless it runs whole.
    """

    def __init__(self, target, layer: Layer, params, x: np.ndarray, lengths, inputs, whole: bool):
        T, B, size = x.shape
        self.target, self.layer, self.params, self.x = target, layer, params, x
        self.lengths = check_lengths(lengths, T, B)
        if not whole and not layer.causal:
            name = type(layer).__name__
            raise InputError(f"{name} needs the whole sequence at once; T={T} steps were cut")
        # over the whole sequence: a default such as the step's number must not start anew
        self.inputs = layer.all_inputs(inputs, T, B, size, x.dtype)
        self.per_step = {n for n, one in layer.inputs(T, B, size).items() if one.per_step}

    def forward(self, t0: int, t1: int, state, keep: bool, rows: slice = EVERY_ROW) -> Chunk:
        """As of ``CellChunks``."""
        inside = within(self.lengths, t0, t1, rows)
        now = {
            name: values[t0:t1, rows] if name in self.per_step else values[rows]
            for name, values in self.inputs.items()
        }
        x = self.x[t0:t1, rows]
        found = self.layer.forward(self.target, self.params, x, state, inside, now, tape=keep)
        return Chunk(found.y, found.state, found.tape)

    def backward(self, tape, dy=None, dstate=None):
        return self.layer.backward(tape, dy, dstate)

    def accumulator(self):
        return self.layer.accumulator(self.target)


def chunks_of(target, cell, params, x, lengths, inputs, whole: bool) -> CellChunks | LayerChunks:
    """The chunks of x (T,B,I), each at least 1, for a cell (by name or object) or a layer.

    whole: there will be one chunk of all T.
    """
    if not hasattr(target, "forward"):
        raise InputError(f"target is {shown(target)}; needs one that get_target gives")
    if isinstance(cell, Layer):
        return LayerChunks(target, cell, params, x, lengths, inputs, whole)
    return CellChunks(target, cell, params, x, lengths, inputs)


def check_sequence(x) -> np.ndarray:
    """x as an array (T,B,I), each at least 1. The target checks the rest."""
    x = as_array("x", x)
    if x.ndim != 3 or 0 in x.shape:
        raise InputError(f"x has shape {x.shape}; needs (T, B, I), each at least 1")
    return x


class Upstream:
    """The gradient at y (T,B,H), given or asked for chunk by chunk as the outputs come.

    given: dy, or a callable ``(t0, t1, y_chunk) -> dy_chunk`` or ``-> (loss, dy_chunk)``.
    losses: what it gave so far, None for each chunk without.
    """

    def __init__(self, given: np.ndarray | Callable, T: int):
        self.losses = []
        self.call = given if callable(given) else None
        self.pieces = []  # (t0, t1, dy): a callable's, in time order, until they are taken
        if self.call is None:
            self.dy = as_array("upstream", given)
            if self.dy.ndim != 3 or len(self.dy) != T:
                raise InputError(f"upstream has shape {self.dy.shape}; needs (T, B, H) with T={T}")

    def visit(self, t0: int, t1: int, y: np.ndarray) -> None:
        """The outputs of these steps are there, for the first time."""
        if self.call is None:
            return
        found = self.call(t0, t1, y)
        pair = isinstance(found, tuple)
        if pair and len(found) != 2:
            raise InputError(f"upstream gave {len(found)} values; needs dy or (loss, dy)")
        loss, dy = found if pair else (None, found)
        dy = as_array("upstream's dy", dy)
        if dy.shape != y.shape:
            raise InputError(
                f"upstream gave dy of shape {dy.shape} for steps {t0} to {t1}; needs {y.shape}"
            )
        self.losses.append(loss)
        self.pieces.append((t0, t1, dy))

    def take(self, t0: int, t1: int) -> np.ndarray:
        """The gradient at y of these steps, which were visited; it is not asked for again."""
        if self.call is None:
            return self.dy[t0:t1]
        first = bisect_right(self.pieces, t0, key=lambda piece: piece[0]) - 1
        last = bisect_left(self.pieces, t1, key=lambda piece: piece[0])
        found = self.pieces[first:last]
        (begin, _, left), (start, end, right) = found[0], found[-1]
        rest = [(begin, t0, left[: t0 - begin])] if begin < t0 else []
        rest += [(t1, end, right[t1 - start :])] if t1 < end else []
        self.pieces[first:last] = rest
        parts = [dy[max(t0 - a, 0) : t1 - a] for a, _, dy in found]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def loss(self):
        """The sum of the losses, None where there are none."""
        return None if not self.losses or self.losses[0] is None else sum(self.losses)
