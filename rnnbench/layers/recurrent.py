"""One cell over a sequence, as a layer."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnbench.cells import get_cell, registry
from rnnbench.checks import check_count, check_sizes
from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.layer import Array, Arrays, Gradients, Layer, Result
from rnnbench.params import case_centre, case_scale
from rnnbench.spec import MATRIX, Cell


@dataclass(frozen=True, eq=False)
class Recurrent(Layer):
    """A cell by name (``lstm``, ``lstm[projection=true]``) or object, with its hidden size H.

    Parameters, states and per-step inputs are named as in the cell's spec. widths: those beside I
    and H, each half of H, rounded up, where it is not given. InputError for an unknown cell or
    width, and for a size below 1.
    """

    cell: str | Cell
    hidden_size: int
    widths: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self):
        cell = get_cell(self.cell)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "hidden_size", check_count("hidden_size", self.hidden_size))
        if not isinstance(self.widths, Mapping):
            raise InputError(f"widths is {shown(self.widths)}; needs a mapping letter -> size")
        for letter, size in self.widths.items():
            if letter not in cell.spec.widths:
                allowed = cell.spec.widths or ("none",)
                raise unknown(f"width of {cell.name}", letter, allowed)
            check_count(f"width {letter}", size)

    def sizes(self, input_size: int) -> dict[str, int]:
        return check_sizes(self.cell, input_size, self.hidden_size, **self.widths)

    def output_size(self, input_size: int) -> int:
        spec = self.cell.spec
        return self.sizes(input_size)[spec.state(spec.output).width]

    def parameters(self, input_size: int) -> dict[str, Array]:
        sizes, found = self.sizes(input_size), {}
        for p in self.cell.spec.parameters:
            shape = p.shape(sizes)
            # one number: a matrix of them would be as large as the parameter
            centre = p.starts()[0] if p.kind == MATRIX else case_centre(p, shape)
            found[p.name] = Array(shape, float(case_scale(p, shape)), centre)
        return found

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        sizes = self.sizes(input_size)
        return {s.name: Array((B, sizes[s.width]), 1.0, s.start) for s in self.cell.spec.states}

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        sizes, found = self.sizes(input_size), {}
        for i in self.cell.spec.inputs:
            default = functools.partial(i.made, 0, T, B, sizes) if i.default else None
            shape, needed = i.shape(T, B, sizes), i.default is None
            found[i.name] = Array(shape, draw=i.draw, default=default, needed=needed)
        return found

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        run = target.forward(self.cell, params, x, state, lengths, inputs, tape=keep)
        # copies: views would hold the whole history
        final = {name: history[-1].copy() for name, history in run.states.items()}
        return Result(run.y, final, (target, run.tape))

    def run_backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        target, tape = inner
        return Gradients(*target.backward(tape, dy, dstate))

    def sums(self, target):
        make = getattr(target, "accumulator", None)
        return super().sums(target) if make is None else TargetSums(make())

    def settings(self) -> dict[str, object]:
        cell, spec = self.cell, self.cell.spec
        named = spec.name in registry() and get_cell(spec.name, **cell.options)
        if not named or named.contents != cell.contents:
            raise InputError(f"cell {cell.name} is another one than the registry's of that name")
        widths = spec.sizes(1, self.hidden_size, **self.widths)
        return {
            "cell": spec.name,
            "options": dict(cell.options),
            "hidden_size": self.hidden_size,
            "widths": {letter: widths[letter] for letter in spec.widths},
        }

    @classmethod
    def from_settings(cls, cell: str, hidden_size: int, options=None, widths=None) -> "Recurrent":
        options = {} if options is None else options
        widths = {} if widths is None else widths
        if not isinstance(cell, str) or not isinstance(options, Mapping):
            given = f"cell {shown(cell)} with options {shown(options)}"
            raise InputError(f"{given}; needs a name and a mapping option -> value")
        return cls(get_cell(cell, **options), hidden_size, widths)


class TargetSums:
    """A target's sums, of tapes as ``Recurrent`` leaves them."""

    def __init__(self, sums):
        self.sums, self.result = sums, sums.result

    def backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        _, tape = inner
        return Gradients(*self.sums.backward(tape, dy, dstate))
