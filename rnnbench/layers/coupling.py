"""How one stream of a reversible pair is changed by the other, there and back, at one step.

    k' = ⌊z k⌉ + ⌊(1 − z) F 2^bits⌉         k = k' − ⌊(1 − z) F 2^bits⌉, divided by z

F and z come from x_t and the other stream alone, which is the same on both ways.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.errors import InputError
from rnnbench.layers.fixed_point import BitStack, Grid, alike, factor, fixed_factor, shrink
from rnnbench.layers.layer import Arrays, Layer, joined, part
from rnnbench.layers.recurrent import Recurrent

PAIR = ("first", "second")
TURNS = ((0, 1), (1, 0))  # (the stream that changes, the one it is computed from)


class Update(NamedTuple):
    """What a stream is changed by: the new states F of its layer's step; their forget factors as
    whole numbers, none where the pair is additive; the tapes of the steps that gave them."""

    candidate: Arrays
    factors: dict[str, np.ndarray]
    tapes: dict[str, object]


@dataclass(frozen=True)
class Coupling:
    """What all steps of one call share.

    gates: the layer that gives a state's forget factor, by the state's name; forget: the factor
    where it is a number; neither: the pair is additive. least: the smallest factor that a gate may
    give. ready: a stream's parameters, by part.
    """

    layer: Layer
    gates: dict[str, Recurrent]
    forget: float | None
    least: float
    target: object
    grid: Grid
    ready: tuple[dict[str, object], dict[str, object]]
    x: np.ndarray
    inputs: Arrays
    lengths: np.ndarray

    def rows(self, t: int) -> np.ndarray | slice:
        """The sequences that run at step t; the others are not looked at."""
        running = t < self.lengths
        return slice(None) if running.all() else np.flatnonzero(running)

    def inputs_at(self, t: int, rows) -> Arrays:
        wanted = self.layer.known("inputs", *self.x.shape)
        return {
            name: np.ascontiguousarray(v[t : t + 1, rows] if wanted[name].per_step else v[rows])
            for name, v in self.inputs.items()
        }

    def update(self, mine: int, t: int, other: Arrays, keep: bool) -> Update:
        """What stream ``mine`` is changed by at step t. other: the other stream's whole numbers."""
        rows = self.rows(t)
        x = np.ascontiguousarray(self.x[t : t + 1, rows])
        before = {name: self.grid.floats(k[rows]) for name, k in other.items()}
        ready, inputs = self.ready[mine], self.inputs_at(t, rows)
        run = self.layer.run(self.target, ready["candidate"], x, before, None, inputs, keep)
        factors, tapes = {}, {"candidate": run.tape}
        for name, value in before.items():
            if name in self.gates:
                gate, place = self.gates[name], f"forget.{name}"
                state = {gate.cell.spec.output: value}
                step = gate.run(self.target, ready[place], x, state, None, {}, keep)
                factors[name] = self.limited(gate, step.state[gate.cell.spec.output], t)
                tapes[place] = step.tape
            elif self.forget is not None:
                factors[name] = fixed_factor(self.forget)
        return Update(run.state, factors, tapes)

    def limited(self, gate: Recurrent, value: np.ndarray, t: int) -> np.ndarray:
        """A gate from 0 to 1 as a factor from the least one to 1."""
        inside = (value >= 0) & (value <= 1)
        if not inside.all():
            raise InputError(
                f"forget cell {gate.cell.name} gives {value[~inside][0]:.6g} at step {t}; "
                "a gate lies from 0 to 1"
            )
        return fixed_factor(self.least + (1 - self.least) * value.astype(np.float64))

    def addend(self, update: Update, name: str, what: str) -> np.ndarray:
        """The whole number that is added to a state, whatever that is."""
        value = update.candidate[name]
        if name in update.factors:
            value = (1 - factor(update.factors[name], self.grid.dtype)) * value
        return self.grid.fixed(value, what)

    def advance(self, update: Update, name: str, k, lost: BitStack | None, what: str):
        """A state after the step; what the product drops goes to ``lost``, where there is one."""
        if name in update.factors:
            k, place, count = shrink(k, update.factors[name])
            if lost is not None:
                lost.push(place, count)
        return self.grid.check(k + self.addend(update, name, what), what)

    def retreat(self, update: Update, name: str, k, lost: BitStack) -> np.ndarray:
        """The state before the step: the inverse of ``advance``."""
        k = k - self.addend(update, name, name)
        if name in update.factors:
            first, count = alike(k, update.factors[name])
            k = first + lost.pop(count)
        return k

    def backward(self, update: Update, before: Arrays, dnew: Arrays):
        """Gradients at the stream's states before the step (``before``, whole numbers), at the
        other stream's states, at the parameters by dotted name, and at x_t."""
        dold, dcandidate, dgates = dict(dnew), dict(dnew), {}
        for name, fixed in update.factors.items():
            z = factor(fixed, self.grid.dtype)
            dold[name], dcandidate[name] = z * dnew[name], (1 - z) * dnew[name]
            if name in self.gates:
                change = self.grid.floats(before[name]) - update.candidate[name]
                dgates[name] = self.grid.dtype.type(1 - self.least) * change * dnew[name]
        grads = step_backward(self.layer, update.tapes["candidate"], dcandidate, self.x)
        dother, dx, dparams = dict(grads.state), grads.x[0], {"candidate": grads.params}
        for name, value in dgates.items():
            gate, place = self.gates[name], f"forget.{name}"
            output = gate.cell.spec.output
            grads = step_backward(gate, update.tapes[place], {output: value}, self.x)
            dother[name] = dother[name] + grads.state[output]
            dx, dparams[place] = dx + grads.x[0], grads.params
        return dold, dother, joined(dparams), dx


def step_backward(layer: Layer, tape, dstate: Arrays, x: np.ndarray):
    """Through one step, from the gradient at its new states; its y is not used."""
    rows = len(next(iter(dstate.values())))
    dy = np.zeros((1, rows, layer.output_size(x.shape[2])), x.dtype)
    return layer.run_backward(tape, dy, dstate)


def prepared(target, layer: Layer, params: Arrays):
    """Parameters laid out once for all steps, where the layer is one cell; else a copy."""
    if isinstance(layer, Recurrent):
        return target.prepare(layer.cell, params)
    return {name: value.copy() for name, value in params.items()}


def first_states(coupling: Coupling, state: Arrays) -> list[Arrays]:
    """Both streams' initial states as whole numbers; 0 in a sequence without steps."""
    runs = (coupling.lengths > 0)[:, None]
    return [
        {
            name: coupling.grid.fixed(np.where(runs, value, 0), f"state {stream}.{name}")
            for name, value in part(state, stream).items()
        }
        for stream in PAIR
    ]


def replaced(k: np.ndarray, rows, new: np.ndarray) -> np.ndarray:
    """k with new rows; k stays as it is, for it may be on a tape."""
    if isinstance(rows, slice):
        return new
    k = k.copy()
    k[rows] = new
    return k


def check_returned(streams: list[Arrays], start: list[Arrays], lost: BitStack) -> None:
    """RuntimeError unless the way back ended where the way there began."""
    same = all(
        np.array_equal(k, began[name])
        for stream, began in zip(streams, start, strict=True)
        for name, k in stream.items()
    )
    if not same or len(lost):
        raise RuntimeError(
            "the way back does not end at the initial states: the target gave other numbers than "
            "on the way there, or the tape was changed"
        )
