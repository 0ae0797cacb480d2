"""What a cell is made of, as plain data: gates, states, parameters, stages. No arrays, no Numba.

A step of a cell is one or more *stages*. A stage first sums, for each of its slots (the
pre-activations), the declared terms ``parameter · source``; then its pointwise maths, a few
lines of scalar code in ``rnnbench/equations``, turns the slots, the previous states and the
per-unit parameters of one unit into new states, into products that later stages multiply by a
matrix, and into the values saved for the backward pass.

Letters: T time steps, B batch, I input size, H hidden size. Widths are named by such letters, so
that a state or a stage may differ from H (a projection, a slow context layer).
"""

import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rnnbench.bind import contents
from rnnbench.parts import BIAS, INPUT, MATRIX, SCALAR, UNIT, Input, Parameter, State, Transform

__all__ = [
    "BIAS",
    "INPUT",
    "MATRIX",
    "SCALAR",
    "UNIT",
    "Cell",
    "CellSpec",
    "Input",
    "Parameter",
    "Reduction",
    "Stage",
    "State",
    "Term",
    "Transform",
]


@dataclass(frozen=True)
class Term:
    """``slots[i] += parameter[gates[i]] · source``, for each i.

    source: ``"x"``, a state (its value before the step), a product or a state already written by
    an earlier stage (``"name'"``, its value after that stage); ``""`` for a bias. An empty
    parameter adds x itself to the slot; where the stage's width is not "I", such a cell runs only
    where the two widths are equal.
    """

    parameter: str
    source: str
    gates: tuple[str, ...]
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """Terms into slots, then pointwise maths.

    slots: pre-activations, in the order the maths receives them. saves: values left on the tape.
    products: vectors for later stages' terms. states: the states this stage writes.
    units: unit and scalar parameters its maths receives. inputs: names of the cell's per-step
    inputs that its maths receives.
    """

    slots: tuple[str, ...]
    terms: tuple[Term, ...]
    saves: tuple[str, ...]
    states: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    width: str = "H"
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reduction:
    """With these parameters zero the cell equals another one (an identity that tests use)."""

    zero: tuple[str, ...]
    equals: str


@dataclass(frozen=True)
class CellSpec:
    """The data of a cell. Raises ValueError when it does not hang together.

    equations: the step, line by line, as ``rnnbench cells`` prints it. source: paper and equation
    numbers. notes: where published code or another paper differs. scan: the states that a step
    maps linearly, by levels (a level's coefficients may depend on the levels before); () where
    the recurrence is not linear. forget_gate: the gate whose bias, raised, makes the cell keep its
    old state; "" where gate f is no such gate.
    """

    name: str
    family: str
    source: str
    gates: tuple[str, ...]
    states: tuple[State, ...]
    parameters: tuple[Parameter, ...]
    stages: tuple[Stage, ...]
    output: str = "h"
    reductions: tuple[Reduction, ...] = ()
    inputs: tuple[Input, ...] = ()
    equations: str = ""
    notes: str = ""
    scan: tuple[tuple[str, ...], ...] = ()
    forget_gate: str = "f"

    def __post_init__(self):
        check_spec(self)

    def parameter(self, name: str) -> Parameter:
        return next(p for p in self.parameters if p.name == name)

    def state(self, name: str) -> State:
        return next(s for s in self.states if s.name == name)

    def input(self, name: str) -> Input:
        return next(i for i in self.inputs if i.name == name)

    @property
    def widths(self) -> tuple[str, ...]:
        """The letters of all widths but I and H, in alphabetical order."""
        letters = {s.width for s in self.states} | {s.width for s in self.stages}
        letters |= {w for p in self.parameters for w in (p.width, p.columns) if p.kind != SCALAR}
        return tuple(sorted(letters - {"I", "H", ""}))

    @property
    def equal_widths(self) -> tuple[str, ...]:
        """The letters that must equal I, because x itself is added there."""
        found = {s.width for s in self.stages for t in s.terms if t.source and not t.parameter}
        return tuple(sorted(found - {"I"}))

    @functools.cached_property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @functools.cached_property
    def transformed(self) -> tuple[Parameter, ...]:
        """The parameters that the steps do not use as they are trained."""
        return tuple(p for p in self.parameters if p.transform)

    @functools.cached_property
    def output_width(self) -> str:
        """Its letter."""
        return self.state(self.output).width

    @functools.cached_property
    def state_names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.states)

    def stage_states(self, k: int) -> list[str]:
        """The states that stage k's maths reads: those of its width, in order."""
        return [s.name for s in self.states if s.width == self.stages[k].width]

    def earlier_saves(self, k: int) -> list[tuple[int, int]]:
        """(stage, index) of the saves that stage k's maths reads: earlier ones of its width."""
        same = [e for e in range(k) if self.stages[e].width == self.stages[k].width]
        return [(e, i) for e in same for i in range(len(self.stages[e].saves))]

    def unit_rows(self, k: int) -> list[tuple[str, int]]:
        """(parameter, row) of the per-unit values that stage k's maths receives; a scalar is one
        row."""
        names = self.stages[k].units
        return [(n, row) for n in names for row in range(len(self.parameter(n).gates) or 1)]

    def sizes(self, input_size: int, hidden_size: int, **widths: int) -> dict[str, int]:
        """Letter -> size. A further width is half of H, rounded up, unless it is given."""
        unknown = widths.keys() - set(self.widths)
        if unknown:
            raise ValueError(f"{self.name} has no width {sorted(unknown)}; it has {self.widths}")
        half = {letter: (hidden_size + 1) // 2 for letter in self.widths}
        return {"I": input_size, "H": hidden_size} | half | widths

    def parameter_shapes(self, input_size: int, hidden_size: int, **widths: int) -> dict:
        """Name -> shape, in canonical order."""
        sizes = self.sizes(input_size, hidden_size, **widths)
        return {p.name: p.shape(sizes) for p in self.parameters}

    def parameter_count(self, input_size: int, hidden_size: int, **widths: int) -> int:
        shapes = self.parameter_shapes(input_size, hidden_size, **widths).values()
        return sum(math.prod(shape) for shape in shapes)

    def state_shapes(self, batch: int, hidden_size: int, input_size: int = 0, **widths) -> dict:
        """Name -> (B, width), in canonical order."""
        sizes = self.sizes(input_size, hidden_size, **widths)
        return {s.name: (batch, sizes[s.width]) for s in self.states}


def check_spec(spec: CellSpec) -> None:
    """Each name is known, each state written once, each width agrees; else ValueError."""

    def need(condition, message):
        if not condition:
            raise ValueError(f"spec of {spec.name}: {message}")

    widths = {INPUT: "I"} | {s.name: s.width for s in spec.states}
    need(spec.output in spec.state_names, f"output {spec.output!r} is not a state")
    parameters = {p.name: p for p in spec.parameters}
    inputs = {i.name: i for i in spec.inputs}
    written, used = [], set()
    for stage in spec.stages:
        for term in stage.terms:
            need(len(term.gates) == len(term.slots), f"{term} pairs unequal lists")
            need(set(term.slots) <= set(stage.slots), f"{term} feeds an unknown slot")
            need(term.source in widths or not term.source, f"{term} reads an unknown source")
            if not term.parameter:
                need(term.source == INPUT, f"{term} adds something other than x itself")
                continue
            need(term.parameter in parameters, f"{term} uses an unknown parameter")
            p = parameters[term.parameter]
            need(p.kind == (MATRIX if term.source else BIAS), f"{term} uses a {p.kind}")
            need(set(term.gates) <= set(p.gates), f"{term} names an unknown gate")
            need(p.width == stage.width, f"{term} has rows of another width")
            need(not term.source or p.columns == widths[term.source], f"{term}: columns differ")
            used |= {(p.name, g) for g in term.gates}
        for name in stage.inputs:
            need(name in inputs, f"unknown input {name}")
            need(inputs.pop(name).width in ("", stage.width), f"input {name} of another width")
        for name in stage.units:
            need(name in parameters and parameters[name].kind in (UNIT, SCALAR), f"unit {name}")
            p = parameters[name]
            need(p.kind == SCALAR or p.width == stage.width, f"unit {name} of another width")
            used |= {(name, g) for g in parameters[name].gates}
        for name in stage.states:
            need(name in spec.state_names and spec.state(name).width == stage.width, f"{name}")
            widths[f"{name}'"] = stage.width
        widths |= dict.fromkeys(stage.products, stage.width)
        written += stage.states
    need(sorted(written) == sorted(spec.state_names), "each state must be written exactly once")
    need(not inputs, f"unused inputs {sorted(inputs)}")
    need(all(len(p.starts()) == len(p.gates) for p in spec.parameters), "a start for each gate")
    need({s for level in spec.scan for s in level} <= set(spec.state_names), "scan of no state")
    unused = {(p.name, g) for p in spec.parameters for g in p.gates} - used
    need(not unused, f"unused parameter rows {sorted(unused)}")


@dataclass(frozen=True, eq=False)
class Cell:
    """A spec with its scalar maths: one ``forward`` and one ``backward`` function a stage.

    ``forward(a, s, q, p) -> (out, saved)``: slots a, previous states s (of the stage's width, in
    spec order), q the values saved by earlier stages (of its width), p the values of the stage's
    per-unit and scalar parameters, then of its per-step inputs; out holds the stage's products,
    then its new states.

    ``backward(dout, dq, s, q, p) -> (da, ds, dq_earlier, dp)``: dout as out; dq the gradient
    that later stages sent to this stage's saves; q all saves so far, this stage's last; dp the
    gradients at the parameters in p (the inputs have none).

    ``label``: the full name where it is not the spec's, with the options that differ from their
    defaults (``options``).
    """

    spec: CellSpec
    forward: tuple[Callable, ...]
    backward: tuple[Callable, ...]
    label: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.label or self.spec.name

    @functools.cached_property
    def contents(self) -> str:
        """A hash of the spec and the maths: two cells of one name need not be the same."""
        parts = [repr(self.spec), *map(contents, self.forward + self.backward)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
