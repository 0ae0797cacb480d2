"""A causal layer one step at a time, where a recurrence goes through more than the layer.

Attention whose context depends on the last state, outputs fed back as inputs: such a loop calls
the layer with T = 1 and carries the state itself. Letters: T time steps, B batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnbench.checks import check_lengths
from rnnbench.errors import InputError, shown
from rnnbench.layers.layer import Array, Arrays, Layer, Result, check_layer
from rnnbench.layers.products import added
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack


@dataclass
class Steps:
    """What the steps of one call share, and the tapes of those that ran, in order.

    shape: (T, B, width of the layer's input). lengths: (B,) int64, None where all are T. inputs:
    of ``Layer.all_inputs``, for a default made a step at a time would count each from 0.
    """

    layer: Layer
    target: object
    params: Arrays
    shape: tuple[int, int, int]
    lengths: np.ndarray | None
    inputs: Arrays
    keep: bool
    tapes: list = field(default_factory=list)

    def running(self, t: int) -> np.ndarray | None:
        """(B,) bool, the sequences that still run at step t; None: all."""
        if self.lengths is None or (t < self.lengths).all():
            return None
        return t < self.lengths

    def alive(self, t: int, values: np.ndarray) -> np.ndarray:
        """values (B,width), zero where the sequence has ended."""
        running = self.running(t)
        return values if running is None else np.where(running[:, None], values, 0)

    def whole(self, x: np.ndarray, state: Arrays) -> Result:
        """All steps in one call, where the recurrence is the layer's alone."""
        return self.layer.run(
            self.target, self.params, x, state, self.lengths, self.inputs, self.keep
        )

    def forward(self, t: int, x: np.ndarray, state: Arrays) -> tuple[np.ndarray, Arrays]:
        """y (B,·) of step t from x (B,width), zero where the sequence has ended, and the states
        after it."""
        running = self.running(t)
        lengths = None if running is None else running.astype(np.int64)
        result = self.layer.run(
            self.target, self.params, x[None], state, lengths, self.inputs_at(t), self.keep
        )
        if self.keep:
            self.tapes.append(result.tape)
        return result.y[0], result.state

    def inputs_at(self, t: int) -> Arrays:
        if not self.inputs:
            return {}
        wanted = self.layer.known("inputs", *self.shape)
        return {
            name: values[t : t + 1] if wanted[name].per_step else values
            for name, values in self.inputs.items()
        }

    def no_output(self) -> np.ndarray:
        """(B,·) zeros: the gradient at an output that nothing reads."""
        _, B, width = self.shape
        like = next(iter(self.params.values()))
        return np.zeros((B, self.layer.known("output_size", width)), like.dtype)

    def backward(
        self, t: int, dy: np.ndarray, dstate: Arrays, total: Arrays | None
    ) -> tuple[np.ndarray, Arrays, Arrays]:
        """(dx, gradient at the states before step t, parameters' gradients added to ``total``).

        Steps go from the last to the first; dy (B,·) has no effect where the sequence has ended.
        """
        dy = np.ascontiguousarray(self.alive(t, dy))
        found = self.layer.run_backward(self.tapes[t], dy[None], dstate)
        return found.x[0], found.state, added(total, found.params)


def check_causal(name: str, layer) -> Layer:
    """A layer that can be run a step at a time."""
    if not check_layer(name, layer).causal:
        kind = type(layer).__name__
        raise InputError(f"{name} is a {kind}, which sees later inputs; needs a causal layer")
    return layer


def ragged(lengths, steps: int, B: int) -> np.ndarray | None:
    """(B,) int64, None where all are ``steps``. InputError for what are no lengths."""
    if lengths is None:
        return None
    lengths = check_lengths(lengths, steps, B)
    return None if lengths.min() == steps else lengths


def output_state(layer: Layer) -> str | None:
    """The state that is the layer's output, of a stack its last layer's; None where none is."""
    if isinstance(layer, Recurrent):
        return layer.cell.spec.output
    if isinstance(layer, Stack):
        name = output_state(layer.layers[-1])
        return name and f"{len(layer.layers) - 1}.{name}"
    return None


def state_named(layer: Layer, name: str | None, states: Mapping[str, Array], what: str) -> str:
    """The state of that name, by default the output state; InputError where there is none."""
    name = output_state(layer) if name is None else name
    if not isinstance(name, str) or name not in states:
        there = ", ".join(states) or "(there are none)"
        raise InputError(f"{what} is {shown(name)}; needs one of the states {there}")
    return name
