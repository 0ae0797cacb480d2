"""A reversible pair of streams in fixed point: exact, with Python's integers.

    a' = z(x, b) a + (1 - z(x, b)) F(x, b)         F: a step of a cell, all its states
    b' = z(x, a') b + (1 - z(x, a')) F(x, a')      z: a step of a gate cell, state by state

MacKay, Vicol, Ba & Grosse 2018 (arXiv:1810.10999), section 3, with fixed point and a buffer of
forgotten bits as in section 5. forget=None: a' = a + F(x, b), Gomez et al. 2017 (1707.04585).

A state is an integer k standing for k / 2^bits; what a product with z drops goes into a buffer
(`fixed_point`), one integer a number.

The gradient takes roundings for the identity: it is that of the formulas above at the rounded
states. fraction_bits=None leaves out all rounding; then every number type will do.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .cells import get_cell
from .fixed_point import ONE, grow, shrink
from .functions import zeros_like_type
from .unroll import Gradients

PAIR = ("first", "second")


class Forward(NamedTuple):
    """y (T,B,2H), zero past a sequence's end; states "first.h", .. (T+1,B,width); buffers: for
    every state an array of integers (B,width); tape."""

    y: np.ndarray
    states: dict[str, np.ndarray]
    buffers: dict[str, np.ndarray]
    tape: "Tape"


@dataclass(frozen=True)
class Tape:
    pair: "Pair"
    x: np.ndarray
    inputs: dict[str, np.ndarray]
    lengths: np.ndarray
    numbers: list  # of both streams, at the end: state name -> integers (B,width)
    buffers: list
    steps: list  # (t, rows, stream, the other stream's and the own states there)


@dataclass(frozen=True)
class Pair:
    """cell, gate: reference cells, gate None where forget is no cell. params: a stream's, by part,
    "candidate" or "forget.h"."""

    cell: Any
    gate: Any
    forget: float | None
    least: float
    bits: int | None
    params: list

    def step(self, stream: int, x, other, inputs):
        """F, the factors z (empty where the pair is additive) and what a backward needs."""
        params = self.params[stream]
        new, cache = self.cell.step(params["candidate"], x, other, **inputs)
        factors, caches = {}, {"candidate": cache}
        for name in self.cell.states:
            if self.gate is not None:
                part = f"forget.{name}"
                state = {self.gate.output: other[name]}
                opened, caches[part] = self.gate.step(params[part], x, state)
                z = self.least + (1 - self.least) * opened[self.gate.output]
                factors[name] = z if self.bits is None else np.rint(z * ONE) / ONE
            elif self.forget is not None:
                z = self.forget if self.bits is None else round(self.forget * ONE) / ONE
                factors[name] = z
        return new, factors, caches

    def step_backward(self, stream: int, x, other, own, inputs, dnew):
        """dparams by part, dx, the other stream's and the own states' gradients."""
        params = self.params[stream]
        new, factors, caches = self.step(stream, x, other, inputs)
        down, dF = dict(dnew), dict(dnew)
        for name, z in factors.items():
            down[name] = z * dnew[name]
            dF[name] = (1 - z) * dnew[name]
        dparams = {}
        dparams["candidate"], dx, dother = self.cell.step_backward(
            params["candidate"], caches["candidate"], dF
        )
        for part in list(caches)[1:]:
            name = part.removeprefix("forget.")
            dz = dnew[name] * (own[name] - new[name])
            dopened = {self.gate.output: (1 - self.least) * dz}
            dparams[part], dx_gate, dstate = self.gate.step_backward(
                params[part], caches[part], dopened
            )
            dx = dx + dx_gate
            dother[name] = dother[name] + dstate[self.gate.output]
        return dparams, dx, dother, down


def forward(
    cell,
    params: dict[str, np.ndarray],
    x: np.ndarray,
    state: dict[str, np.ndarray],
    lengths=None,
    inputs: dict[str, np.ndarray] | None = None,
    forget=None,
    forget_bits: int = 3,
    fraction_bits: int | None = 20,
) -> Forward:
    """Run the pair over x (T,B,I).

    cell     a name or a cell; forget: None, a number, or a cell whose state lies from 0 to 1
    params   "first.candidate.W", "first.forget.h.W", "second.candidate.W", ..
    state    "first.h", .. (B,width), all of them; lengths (B,); inputs as the cell's
    """
    cell = get_cell(cell)
    number = forget if isinstance(forget, float) else None
    gate = None if forget is None or number is not None else get_cell(forget)
    x = checks.time_major("x", x, "T, B, I")
    T, B, _ = x.shape
    lengths, inputs = checks.sequence_lengths(lengths, T, B), inputs or {}
    parts = ["candidate", *(f"forget.{name}" for name in cell.states if gate is not None)]
    split = [{p: _under(params, f"{stream}.{p}") for p in parts} for stream in PAIR]
    pair = Pair(cell, gate, number, 2.0**-forget_bits, fraction_bits, split)

    now = [
        {name: _fixed(state[f"{stream}.{name}"], fraction_bits) for name in cell.states}
        for stream in PAIR
    ]
    buffers = [{name: _zeros(k.shape) for name, k in numbers.items()} for numbers in now]
    history = {name: [_floats(k, pair.bits)] for name, k in _named(now).items()}
    H = now[0][cell.output].shape[1]
    y = zeros_like_type((T, B, 2 * H), x)
    steps = []
    for t in range(T):
        rows = np.flatnonzero(t < lengths)
        if rows.size:
            given = {name: values[t, rows] for name, values in inputs.items()}
            for stream in (0, 1):
                other, own = (_rows(now[i], rows, pair.bits) for i in (1 - stream, stream))
                new, factors, _ = pair.step(stream, x[t, rows], other, given)
                steps.append((t, rows, stream, other, own))
                for name in cell.states:
                    k, held = now[stream][name][rows], buffers[stream][name][rows]
                    k, held = _advance(k, held, new[name], factors.get(name), pair.bits)
                    now[stream][name][rows], buffers[stream][name][rows] = k, held
                out = now[stream][cell.output][rows]
                y[t, rows, stream * H : (stream + 1) * H] = _floats(out, pair.bits)
        for name, values in _named(now).items():
            history[name].append(_floats(values, pair.bits))
    states = {name: np.stack(values) for name, values in history.items()}
    return Forward(y, states, _named(buffers), Tape(pair, x, inputs, lengths, now, buffers, steps))


def inverse(tape: Tape) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """From the states and buffers at the end alone: the states before every step, the last one
    first, "first.h", .. (B,width); and the buffers that are left."""
    pair = tape.pair
    now = [{name: k.copy() for name, k in numbers.items()} for numbers in tape.numbers]
    buffers = [{name: k.copy() for name, k in held.items()} for held in tape.buffers]
    found = []
    for t in reversed(range(len(tape.x))):
        rows = np.flatnonzero(t < tape.lengths)
        for stream in (1, 0) if rows.size else ():
            given = {name: values[t, rows] for name, values in tape.inputs.items()}
            other = _rows(now[1 - stream], rows, pair.bits)
            new, factors, _ = pair.step(stream, tape.x[t, rows], other, given)
            for name in pair.cell.states:
                k, held = now[stream][name][rows], buffers[stream][name][rows]
                k, held = _retreat(k, held, new[name], factors.get(name), pair.bits)
                now[stream][name][rows], buffers[stream][name][rows] = k, held
        found.append({name: _floats(k, pair.bits) for name, k in _named(now).items()})
    return found, _named(buffers)


def backward(tape: Tape, dy: np.ndarray, dstate: dict[str, np.ndarray]) -> Gradients:
    """Gradients from dy (T,B,2H) and dstate "first.h", .. (B,width), every step's states stored."""
    pair, x = tape.pair, tape.x
    dnow = [{n: dstate[f"{s}.{n}"].copy() for n in pair.cell.states} for s in PAIR]
    H = dnow[0][pair.cell.output].shape[1]
    dx = zeros_like_type(x.shape, x)
    dparams = {
        f"{s}.{part}.{n}": zeros_like_type(p.shape, x)
        for s, parts in zip(PAIR, pair.params, strict=True)
        for part, params in parts.items()
        for n, p in params.items()
    }
    for t, rows, stream, other, own in reversed(tape.steps):
        if stream == 1:  # both streams' outputs are read after the second has changed
            for i in (0, 1):
                out = dnow[i][pair.cell.output]
                out[rows] = out[rows] + dy[t, rows, i * H : (i + 1) * H]
        given = {name: values[t, rows] for name, values in tape.inputs.items()}
        dnew = {name: d[rows] for name, d in dnow[stream].items()}
        dstep, dx_t, dother, down = pair.step_backward(stream, x[t, rows], other, own, given, dnew)
        dx[t, rows] = dx[t, rows] + dx_t
        for name in pair.cell.states:
            dnow[stream][name][rows] = down[name]
            dnow[1 - stream][name][rows] = dnow[1 - stream][name][rows] + dother[name]
        for part, grads in dstep.items():
            for n, g in grads.items():
                full = f"{PAIR[stream]}.{part}.{n}"
                dparams[full] = np.asarray(dparams[full] + g)
    return Gradients(dparams, dx, _named(dnow))


# -- arrays of numbers ---------------------------------------------------------------------------


def _advance(k, buffer, new, z, bits):
    """The states after a step and their buffers; z is None where the pair is additive."""
    if bits is None:
        return (k + new if z is None else z * k + (1 - z) * new), buffer
    if z is not None:
        k, buffer = np.frompyfunc(shrink, 3, 2)(k, _integers(z * ONE), buffer)
    return k + _addend(new, z, bits), buffer


def _retreat(k, buffer, new, z, bits):
    """The inverse of `_advance`."""
    k = k - _addend(new, z, bits)
    if z is None:
        return k, buffer
    return np.frompyfunc(grow, 3, 2)(k, _integers(z * ONE), buffer)


def _addend(new, z, bits) -> np.ndarray:
    """(1 - z) new, or new, as integers: exact up to the one rounding at the end."""

    def one(value, z):
        return round((1 - Fraction(z)) * Fraction(value) * 2**bits)

    return np.frompyfunc(one, 2, 1)(new, 0.0 if z is None else z)


def _fixed(values: np.ndarray, bits: int | None) -> np.ndarray:
    return values.copy() if bits is None else _integers(np.rint(values * 2.0**bits))


def _floats(k: np.ndarray, bits: int | None) -> np.ndarray:
    return k.copy() if bits is None else k.astype(np.float64) / 2.0**bits


def _integers(values) -> np.ndarray:
    """Whole floats as Python's integers."""
    return np.frompyfunc(int, 1, 1)(values)


def _zeros(shape) -> np.ndarray:
    return np.full(shape, 0, dtype=object)


def _rows(numbers, rows, bits):
    return {name: _floats(k[rows], bits) for name, k in numbers.items()}


def _named(both: list) -> dict[str, np.ndarray]:
    """Both streams' arrays by dotted name."""
    return {f"{s}.{n}": v for s, one in zip(PAIR, both, strict=True) for n, v in one.items()}


def _under(params, prefix: str) -> dict[str, np.ndarray]:
    start = f"{prefix}."
    return {name[len(start) :]: p for name, p in params.items() if name.startswith(start)}
