"""Two layers over the same sequences, one in each direction of time.

Schuster & Paliwal 1997, "Bidirectional recurrent neural networks", IEEE Transactions on Signal
Processing 45:2673-2681. With f_t and b_t what the two directions give at step t of the sequence,

    concat    y_t = (f_t, b_t)
    sum       y_t = f_t + b_t
    mean      y_t = (f_t + b_t) / 2
    product   y_t = f_t ⊙ b_t

Each sequence is reversed within its own length: the backward direction starts at the sequence's
end, not in its padding. So b_t has seen the steps t, …, T: at the LAST step b_T has seen one input
only, and what has seen them all stands at step 1. ``sequence.two_ends`` takes the right one of
each direction; the final states are right too, forward's after step T, backward's after step 1.
"""

from dataclasses import dataclass

import numpy as np

from rnnbench.errors import InputError, unknown
from rnnbench.layers.layer import (
    Array,
    Arrays,
    Gradients,
    Layer,
    Result,
    apart,
    check_layer,
    joined,
)
from rnnbench.layers.sequence import by_rows, reversal, reversed_in_time

DIRECTIONS = ("forward", "backward")
MERGES = ("concat", "sum", "mean", "product")


@dataclass(frozen=True, eq=False, init=False)
class Bidirectional(Layer):
    """Any two layers, of different cells even; either may be a stack.

    Parameters and states are named ``forward.…`` and ``backward.…``. A final state is that after
    the direction's own last step; an initial state that before its own first, so a backward one
    enters at the sequence's end. Per-step inputs of the backward direction are given in x's order
    and reversed with x; a default counts its steps in the order in which that direction reads.
    """

    directions: tuple[Layer, Layer]
    merge: str

    causal = False

    def __init__(self, forward: Layer, backward: Layer, merge: str = "concat"):
        """InputError for what is no layer and for an unknown merge; at the first call, for widths
        that differ where the merge is not concat."""
        pair = check_layer("forward", forward), check_layer("backward", backward)
        if not isinstance(merge, str) or merge not in MERGES:
            raise unknown("merge", merge, MERGES)
        object.__setattr__(self, "directions", pair)
        object.__setattr__(self, "merge", merge)

    def output_sizes(self, input_size: int) -> tuple[int, int]:
        """The widths of the two directions."""
        ahead, back = (layer.output_size(input_size) for layer in self.directions)
        if self.merge != "concat" and ahead != back:
            raise InputError(
                f"merge {self.merge} needs equal widths; forward has {ahead}, backward {back}"
            )
        return ahead, back

    def output_size(self, input_size: int) -> int:
        ahead, back = self.output_sizes(input_size)
        return ahead + back if self.merge == "concat" else ahead

    def parameters(self, input_size: int) -> dict[str, Array]:
        self.output_sizes(input_size)
        return named_both(layer.parameters(input_size) for layer in self.directions)

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        return named_both(layer.states(B, input_size) for layer in self.directions)

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        ahead, back = (layer.inputs(T, B, input_size) for layer in self.directions)
        # in x's order the default would be another one
        return named_both((ahead, {name: a._replace(default=None) for name, a in back.items()}))

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        places = reversal(len(x), lengths)
        params, state, inputs = (apart(given, DIRECTIONS) for given in (params, state, inputs))
        if inputs[1]:
            wanted = self.directions[1].known("inputs", *x.shape)
            for name, values in inputs[1].items():
                if wanted[name].per_step:
                    inputs[1][name] = reversed_in_time(values, places)
        first, second = self.directions
        ahead = first.run(target, params[0], x, state[0], lengths, inputs[0], keep)
        x = reversed_in_time(x, places)
        back = second.run(target, params[1], x, state[1], lengths, inputs[1], keep)
        final = named_both((ahead.state, back.state))
        y, factors = merged(self.merge, ahead.y, back.y, places)
        tape = ahead.tape, back.tape, places, ahead.y.shape[2], factors
        return Result(y, final, tape if keep else None)

    def run_backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        *tapes, places, split, factors = inner
        dahead, dback = parted(self.merge, dy, split, factors)
        dstate = apart(dstate, DIRECTIONS)
        first, second = self.directions
        ahead = first.run_backward(tapes[0], dahead, dstate[0])
        back = second.run_backward(tapes[1], reversed_in_time(dback, places), dstate[1])
        dx = np.add(ahead.x, reversed_in_time(back.x, places), out=ahead.x)
        params = named_both((ahead.params, back.params))
        return Gradients(params, dx, named_both((ahead.state, back.state)))

    def settings(self) -> dict[str, object]:
        return {
            "forward": self.directions[0],
            "backward": self.directions[1],
            "merge": self.merge,
        }


def named_both(pair) -> dict:
    return joined(dict(zip(DIRECTIONS, pair, strict=True)))


def merged(merge: str, ahead: np.ndarray, back: np.ndarray, places: np.ndarray | None):
    """(y, of a product its two factors) from what the two directions give, each in its own order
    of time."""
    if merge == "concat":
        return side_by_side(ahead, back, places), None
    back = reversed_in_time(back, places)
    if merge == "product":
        return ahead * back, (ahead, back)
    y = ahead + back
    if merge == "mean":
        y /= 2
    return y, None


def side_by_side(ahead: np.ndarray, back: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Both in one array in x's order, each copied once."""
    T, B, split = ahead.shape
    y = np.empty((T, B, split + back.shape[2]), ahead.dtype)
    y[:, :, :split] = ahead
    if places is None:
        y[:, :, split:] = back[::-1]
    else:
        by_rows(y)[places, split:] = by_rows(back)  # to go there is to come from there
    return y


def parted(merge: str, dy: np.ndarray, split: int, factors) -> tuple[np.ndarray, np.ndarray]:
    """The gradients at the two directions' outputs. split: the forward one's width; factors: both
    outputs, of a product."""
    if merge == "concat":
        return dy[:, :, :split], dy[:, :, split:]
    if merge == "product":
        ahead, back = factors
        return dy * back, dy * ahead
    dy = dy / 2 if merge == "mean" else dy
    return dy, dy
