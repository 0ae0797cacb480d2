"""A reversible pair of streams: gone back through without a tape, each state computed anew.

    a' = z(x, b) ⊙ a + (1 − z(x, b)) ⊙ F(x, b)        the first stream, from the second
    b' = z(x, a') ⊙ b + (1 − z(x, a')) ⊙ F(x, a')     the second, from the new first

F is one step of any cell, all its states, each stream with parameters of its own; z is one step of
a gate cell, for each state by itself. Given a', b' and x, the second line gives b and then the
first gives a, as long as nothing is rounded away: so states are fixed-point numbers, and what the
product with z drops goes into a buffer of bits (``fixed_point``). MacKay, Vicol, Ba & Grosse 2018,
"Reversible recurrent neural networks", arXiv:1810.10999, sections 3 and 5; the pair is that of
Gomez et al. 2017, arXiv:1707.04585. With forget=None it is their additive one, a' = a + F(x, b),
which forgets nothing and needs no buffer.

The gradient takes each rounding for the identity (straight through).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_count, full_lengths
from rnnbench.errors import InputError, shown
from rnnbench.layers.coupling import (
    PAIR,
    TURNS,
    Coupling,
    Update,
    check_returned,
    first_states,
    prepared,
    replaced,
)
from rnnbench.layers.fixed_point import BitStack, Grid
from rnnbench.layers.layer import Array, Arrays, Gradients, Layer, Result, joined, part
from rnnbench.layers.products import added
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stepping import check_causal, state_named
from rnnbench.spec import Cell

SPARE_BITS = 4  # before the point, where fraction_bits is not given: states below 16


class Tape(NamedTuple):
    """start, end: both streams' states as whole numbers. lost: what was forgotten, None where
    ``steps`` holds instead, for each step and stream, its update and its states before."""

    coupling: Coupling
    start: list[Arrays]
    end: list[Arrays]
    lost: BitStack | None
    steps: list[tuple[Update, Arrays]] | None


@dataclass(frozen=True, eq=False)
class Reversible(Layer):
    """``candidate``: a causal layer with states, as ``Recurrent(…)`` of any cell.

    States are named ``first.h``, ``second.h``, …, parameters ``first.candidate.W``,
    ``first.forget.h.W``, …; y is both streams' outputs side by side: the cell's output state, or
    for a composed layer the state named ``output``. Per-step inputs are the candidate's and serve
    both streams.

    forget: None, the additive pair, for a candidate that is bounded whatever the state before it
    (one that carries its own state on, as a gated cell does, makes the pair grow exponentially); a
    number, z itself; or a cell with one state and values from 0 to 1, whose step from the other
    stream's state of the same name gives g and z = 2^−n + (1 − 2^−n) g, n = forget_bits, 1 to 16:
    at most n bits of a number are lost a step.
    fraction_bits: of a state after the point; by default states lie below 16. Initial states are
    rounded to such numbers; what leaves can come back without a loss.
    recompute: False keeps every step's tape, for comparison: the same bits for more memory.

    The tape holds x, the inputs, the parameters, the states at both ends, and the buffer:
    ``buffer_bits``. InputError for a state out of range, NaN included, by name and step;
    RuntimeError where the way back does not end at the initial states.
    """

    candidate: Layer
    forget: str | Cell | float | None = None
    forget_bits: int = 3
    fraction_bits: int | None = None
    recompute: bool = True
    output: str | None = None

    def __post_init__(self):
        check_candidate(self.candidate)
        n = self.forget_bits
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 16:
            raise InputError(f"forget_bits is {shown(n)}; needs a whole number, 1 to 16")
        if self.fraction_bits is not None:
            check_count("fraction_bits", self.fraction_bits)
        if not isinstance(self.recompute, bool):
            raise InputError(f"recompute is {shown(self.recompute)}; needs True or False")
        object.__setattr__(self, "forget", check_forget(self.forget, self.least))

    @property
    def least(self) -> float:
        """The smallest factor that a gate gives."""
        return 2.0**-self.forget_bits

    def gates(self, input_size: int) -> dict[str, Recurrent]:
        """The gate of each state, where a cell gives the forget factors."""
        if not isinstance(self.forget, Cell):
            return {}
        states = self.candidate.states(1, input_size)
        return {name: Recurrent(self.forget, array.shape[1]) for name, array in states.items()}

    # -- what it takes ----------------------------------------------------------------------

    def output_size(self, input_size: int) -> int:
        states = self.candidate.states(1, input_size)
        return 2 * states[state_named(self.candidate, self.output, states, "output")].shape[1]

    def parameters(self, input_size: int) -> dict[str, Array]:
        parts = {"candidate": self.candidate.parameters(input_size)}
        for name, gate in self.gates(input_size).items():
            parts[f"forget.{name}"] = gate.parameters(input_size)
        return joined({stream: joined(parts) for stream in PAIR})

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        return joined({stream: self.candidate.states(B, input_size) for stream in PAIR})

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        return self.candidate.inputs(T, B, input_size)

    def settings(self) -> dict[str, object]:
        found = super().settings()
        if isinstance(self.forget, Cell):
            name = found["forget"] = self.forget.name
            if get_cell(name).contents != self.forget.contents:
                raise InputError(f"cell {name} is another one than the registry's of that name")
        return found

    def buffer_bits(self, tape) -> int:
        """How many bits of what was forgotten the tape of a ``forward`` holds."""
        if getattr(tape, "layer", None) is not self:
            raise InputError(f"tape is a {type(tape).__name__}; needs one of this layer's forward")
        return 0 if tape.inner.lost is None else len(tape.inner.lost)

    # -- forward ----------------------------------------------------------------------------

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        T, B, size = x.shape
        coupling = self.coupling(target, params, x, lengths, inputs, keep)
        streams = first_states(coupling, state)
        start = [dict(stream) for stream in streams]
        lost = BitStack() if keep and self.recompute else None
        steps = [] if keep and not self.recompute else None
        output = state_named(self.candidate, self.output, streams[0], "output")
        half = self.output_size(size) // 2
        y = np.zeros((T, B, 2 * half), x.dtype)
        for t in range(coupling.lengths.max()):
            rows = coupling.rows(t)
            for mine, other in TURNS:
                update = coupling.update(mine, t, streams[other], steps is not None)
                before = {name: k[rows] for name, k in streams[mine].items()}
                for name, k in before.items():
                    what = f"state {PAIR[mine]}.{name} at step {t}"
                    new = coupling.advance(update, name, k, lost, what)
                    streams[mine][name] = replaced(streams[mine][name], rows, new)
                if steps is not None:
                    steps.append((update, before))
                columns = slice(mine * half, (mine + 1) * half)
                y[t, rows, columns] = coupling.grid.floats(streams[mine][output][rows])
        runs = (coupling.lengths > 0)[:, None]
        final = {
            f"{stream}.{name}": np.where(runs, coupling.grid.floats(k), state[f"{stream}.{name}"])
            for stream, values in zip(PAIR, streams, strict=True)
            for name, k in values.items()
        }
        return Result(y, final, Tape(coupling, start, streams, lost, steps) if keep else None)

    def coupling(self, target, params, x, lengths, inputs, keep: bool) -> Coupling:
        T, B, size = x.shape
        digits = np.finfo(x.dtype).nmant + 1
        bits = digits - SPARE_BITS if self.fraction_bits is None else self.fraction_bits
        if not bits < digits:
            raise InputError(f"fraction_bits is {bits}; {x.dtype} allows 1 to {digits - 1}")
        gates, ready = self.gates(size), []
        parts = {"candidate": self.candidate} | {f"forget.{n}": g for n, g in gates.items()}
        for stream in PAIR:
            own = part(params, stream)
            ready.append({n: prepared(target, layer, part(own, n)) for n, layer in parts.items()})
        inputs = self.candidate.all_inputs(inputs, T, B, size, x.dtype)
        if keep:
            x, inputs = x.copy(), {name: values.copy() for name, values in inputs.items()}
        number = self.forget if isinstance(self.forget, float) else None
        lengths = full_lengths(T, B) if lengths is None else lengths
        grid = Grid(x.dtype, bits)
        both = (ready[0], ready[1])
        least, layer = self.least, self.candidate
        return Coupling(layer, gates, number, least, target, grid, both, x, inputs, lengths)

    # -- backward ---------------------------------------------------------------------------

    def run_backward(self, inner: Tape, dy: np.ndarray, dstate: Arrays) -> Gradients:
        coupling, half = inner.coupling, dy.shape[2] // 2
        streams = [dict(stream) for stream in inner.end]
        lost = inner.lost.copy() if self.recompute else None
        d = [{n: v.copy() for n, v in part(dstate, stream).items()} for stream in PAIR]
        output = state_named(self.candidate, self.output, streams[0], "output")
        grads, dx = [None, None], np.zeros_like(coupling.x)
        for t in reversed(range(coupling.lengths.max())):
            rows = coupling.rows(t)
            for stream in (0, 1):
                columns = slice(stream * half, (stream + 1) * half)
                d[stream][output][rows] += dy[t, rows, columns]
            for mine, other in reversed(TURNS):
                if self.recompute:
                    update = coupling.update(mine, t, streams[other], True)
                    before = {}
                    for name, k in reversed(streams[mine].items()):  # the buffer is a stack
                        before[name] = coupling.retreat(update, name, k[rows], lost)
                    for name, k in streams[mine].items():
                        streams[mine][name] = replaced(k, rows, before[name])
                else:
                    update, before = inner.steps[2 * t + mine]
                dnew = {name: v[rows] for name, v in d[mine].items()}
                dold, dother, dparams, dx_t = coupling.backward(update, before, dnew)
                dx[t, rows] += dx_t
                for name in dold:
                    d[mine][name][rows] = dold[name]
                    d[other][name][rows] += dother[name]
                grads[mine] = added(grads[mine], dparams)
        if self.recompute:
            check_returned(streams, inner.start, lost)
        found = {} if grads[0] is None else joined(dict(zip(PAIR, grads, strict=True)))
        wanted = self.known("parameters", dx.shape[2])
        params = {n: found[n] if found else np.zeros(a.shape, dx.dtype) for n, a in wanted.items()}
        return Gradients(params, dx, joined(dict(zip(PAIR, d, strict=True))))


def check_candidate(layer) -> None:
    """InputError, with the reason, for a layer that no stream can be made of."""
    check_causal("candidate", layer)
    cell = getattr(layer, "cell", None)
    kept = [s.name for s in cell.spec.states if s.width == "I"] if cell is not None else []
    if kept:
        raise InputError(
            f"cell {cell.name} keeps earlier inputs as its states {', '.join(kept)}; in a "
            "reversible pair they would be mixed with others"
        )


def check_forget(forget, least: float) -> Cell | float | None:
    """None, a number from ``least`` to below 1, or a cell that can serve as a gate."""
    if forget is None:
        return None
    if isinstance(forget, int | float | np.integer | np.floating) and not isinstance(forget, bool):
        if not least <= forget < 1:
            raise InputError(f"forget is {shown(forget)}; needs a number from {least:g} to below 1")
        return float(forget)
    gate = get_cell(forget)
    spec = gate.spec
    if spec.state_names != (spec.output,) or spec.state(spec.output).width != "H" or spec.inputs:
        raise InputError(
            f"forget cell {gate.name} has states {', '.join(spec.state_names)} and "
            f"{len(spec.inputs)} per-step inputs; a gate needs one state, of width H, and no inputs"
        )
    return gate
