"""One-to-many: each output is the next input.

    u_1 = the first input;   h_t, s_t = layer(u_t, s_{t−1})
    y_t = h_t                   where h is as wide as the input
    y_t = weight h_t + bias     else, or where it is asked for
    u_{t+1} = y_t

Graves 2013, arXiv:1308.0850, section 2, generates so, but draws u_{t+1} at random from what y_t
says; here it is y_t itself, and the gradient goes back through all that was fed.
Letters: T steps, B batch, I the width of the first input and of y, H that of h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import as_array, check_array, check_count
from rnnbench.errors import InputError, shown
from rnnbench.layers.layer import (
    Array,
    Arrays,
    Layer,
    check_upstream,
    joined,
    matrix,
    named,
    part,
    random_arrays,
    without_padding,
)
from rnnbench.layers.products import dense, dense_backward
from rnnbench.layers.stepping import Steps, check_causal, ragged


class Result(NamedTuple):
    """y (T,B,I), zero past a sequence's end; state: the final states, ``layer.name`` -> (B,width);
    tape."""

    y: np.ndarray
    state: Arrays
    tape: object


class Gradients(NamedTuple):
    """Gradients of every input: params by dotted name; first (B,I); initial states."""

    params: Arrays
    first: np.ndarray
    state: Arrays


class Tape(NamedTuple):
    """outputs: h of each step, (B,H), where they were projected; output: the projection."""

    model: "Feedback"
    steps: Steps
    outputs: list[np.ndarray]
    output: Arrays
    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class Feedback:
    """layer: a causal one; input_size: I. project: whether outputs pass through a dense map before
    they are fed back; None: where their width is not I.

    Names are dotted: parameters ``layer.…``, ``output.weight`` (I,H) and ``output.bias`` (I,);
    states and per-step inputs ``layer.…``.
    """

    layer: Layer
    input_size: int
    project: bool | None = None

    def __post_init__(self):
        check_causal("layer", self.layer)
        check_count("input_size", self.input_size)
        if not isinstance(self.project, bool | None):
            raise InputError(f"project is {shown(self.project)}; allowed: None, False, True")
        width = self.layer.output_size(self.input_size)
        if self.project is False and width != self.input_size:
            raise InputError(
                f"the layer's output is {width} wide, its input {self.input_size}; what is fed "
                "back needs a projection"
            )

    @property
    def projects(self) -> bool:
        if self.project is None:
            return self.layer.output_size(self.input_size) != self.input_size
        return self.project

    def parameters(self) -> dict[str, Array]:
        """Every parameter, by dotted name, in canonical order."""
        I, parts = self.input_size, {"layer": self.layer.parameters(self.input_size)}
        if self.projects:
            H = self.layer.output_size(I)
            parts["output"] = {"weight": matrix(I, H), "bias": Array((I,), 0.65)}
        return joined(parts)

    def states(self, B: int) -> dict[str, Array]:
        """Every state, by dotted name, in canonical order."""
        return joined({"layer": self.layer.states(B, self.input_size)})

    def inputs(self, T: int, B: int) -> dict[str, Array]:
        """What the steps are given beside what is fed, by dotted name."""
        return joined({"layer": self.layer.inputs(T, B, self.input_size)})

    def random_params(self, dtype=np.float64, seed: int = 0) -> Arrays:
        """Distinct, unsaturated parameters, for checking."""
        return random_arrays(self.parameters(), dtype, [seed, 1])

    def forward(
        self,
        target,
        params: Mapping,
        T: int,
        first=None,
        state: Mapping | None = None,
        lengths=None,
        inputs: Mapping | None = None,
        tape: bool = True,
    ) -> Result:
        """T steps from the first input (B,I), zero where None, and the initial states, name ->
        (B,width), zero where missing; one of the two is needed.

        lengths (B,): 0 to T. inputs: per-step inputs of the layer, by dotted name, over all T.
        tape: keep what ``backward`` needs. All arrays float32 or all float64. InputError for
        anything else.
        """
        T, I = check_count("T", T), self.input_size
        first = self.first_input(first, state)
        dtype, B = first.dtype, len(first)
        params = named("parameter", params, self.parameters(), dtype)
        state = named("state", state, self.states(B), dtype, zeros=True)
        inputs = named("input", inputs, self.inputs(T, B), dtype, optional=True)
        given = self.layer.all_inputs(part(inputs, "layer"), T, B, I, dtype)
        output = part(params, "output")
        if tape:  # the caller may write to them before the way back
            output = {name: value.copy() for name, value in output.items()}
        steps = Steps(
            self.layer, target, part(params, "layer"), (T, B, I), ragged(lengths, T, B), given, tape
        )
        fed, now, y, outputs = first, part(state, "layer"), [], []
        for t in range(T):
            h, now = steps.forward(t, fed, now)
            fed = h
            if output:
                outputs.append(h)
                fed = steps.alive(t, dense(target, h, output["weight"]) + output["bias"])
            y.append(fed)
        kept = Tape(self, steps, outputs, output, dtype) if tape else None
        return Result(np.stack(y), joined({"layer": now}), kept)

    def first_input(self, first, state) -> np.ndarray:
        """(B,I); B and the dtype of zeros are those of the states."""
        if first is not None:
            first = check_array("first", first, 2)
        elif isinstance(state, Mapping) and state:
            one = as_array("state", next(iter(state.values())))
            if one.ndim != 2:
                raise InputError(f"a state has shape {one.shape}; needs (B, width)")
            first = check_array("state", np.zeros((len(one), self.input_size), one.dtype))
        else:
            raise InputError("neither a first input nor an initial state is given; needs one")
        if len(first) < 1 or first.shape[1] != self.input_size:
            shape = first.shape
            raise InputError(f"first has shape {shape}; needs (B, {self.input_size}), B at least 1")
        return first

    def backward(self, tape: Tape, dy=None, dstate: Mapping | None = None) -> Gradients:
        """From dy (T,B,I) at y (no effect past a sequence's end) and dstate at the final states;
        missing ones are zero. A tape may be used more than once."""
        if not isinstance(tape, Tape) or tape.model is not self:
            raise InputError(f"tape is a {type(tape).__name__}; needs one of this model's forward")
        _, steps, outputs, output, dtype = tape
        T, B, _ = steps.shape
        dy = without_padding(check_upstream(dy, steps.shape, dtype), steps.lengths)
        dstate = part(named("dstate", dstate, self.states(B), dtype, zeros=True), "layer")
        total, doutput = None, {name: np.zeros_like(value) for name, value in output.items()}
        dfed = np.zeros_like(dy[0])
        for t in reversed(range(T)):
            dh = dy[t] + dfed
            if output:
                doutput["bias"] += dh.sum(axis=0)
                dh, dweight = dense_backward(steps.target, outputs[t], output["weight"], dh)
                doutput["weight"] += dweight
            dfed, dstate, total = steps.backward(t, dh, dstate, total)
        params = joined({"layer": total, "output": doutput})
        return Gradients(params, dfed, joined({"layer": dstate}))
