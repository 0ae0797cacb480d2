"""What verify asks of networks made of a cell: each against the reference's, one sequence at a time
and step by step. Which networks a cell is checked in changes from cell to cell; a thorough check
takes all."""

from collections.abc import Callable, Iterator

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.comparisons import Result, compare
from rnnbench.conformance.kernel_checks import Context
from rnnbench.conformance.networks import (
    NetworkProblem,
    run_reference,
    run_target,
    wanted,
)
from rnnbench.conformance.tolerance import tolerance
from rnnbench.layers.attention import Additive, Dot, General
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import result_arrays
from rnnbench.layers.decoding import Bahdanau, InputFeeding, Luong
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedback import Feedback
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.layer import Array, Gradients, Layer, joined, part, random_arrays
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.target import reference_cell
from rnnbench_reference import feedback as reference_feedback

I, H = 4, 4  # equal, for cells that add x itself
LENGTHS = (5, 0, 3)
SOURCE_LENGTHS = (2, 4, 3)


def stacked(cell: str) -> Layer:
    return Stack([Recurrent(cell, H), Recurrent(cell, H)])


def residual(cell: str) -> Layer:
    return Stack([Recurrent(cell, H), Recurrent(cell, H), FeedForward([3], ["tanh"])],
                 residual=[False, True, False])  # fmt: skip


def concatenated(cell: str) -> Layer:
    return Bidirectional(
        Recurrent(cell, H), Stack([Recurrent(cell, H), FeedForward([3], ["relu"])])
    )


def multiplied(cell: str) -> Layer:
    return Bidirectional(Recurrent(cell, H), Recurrent(cell, H), merge="product")


def cast(arrays: dict) -> dict[str, np.ndarray]:
    """In float64."""
    return {name: value.astype(np.float64) for name, value in arrays.items()}


def by_problem(c: Context, network, sizes: dict, ends: dict) -> tuple[dict, dict]:
    """What the target and the reference give, of arrays drawn in the context's dtype."""
    problem = NetworkProblem("check", network, sizes, ends)
    arrays = drawn(c, 1, wanted(problem))
    return run_target(problem, arrays, c.target), run_reference(problem, cast(arrays))


def by_layer(make: Callable) -> Callable:
    def arrays(c: Context) -> tuple[dict, dict]:
        sizes = {"T": 5, "B": 3, "I": I}
        return by_problem(c, make(c.cell), sizes, {"lengths": LENGTHS})

    return arrays


def drawn(c: Context, seed: int, arrays: dict[str, Array]) -> dict[str, np.ndarray]:
    return random_arrays(arrays, c.dtype, [17, seed])


def by_pair(decoding) -> Callable:
    def arrays(c: Context) -> tuple[dict, dict]:
        B, layer = 3, Recurrent(c.cell, H)
        # a state as wide as the input has another width where the decoder is given more than x
        width = EncoderDecoder(layer, layer, {}, decoding).decoder_input(I, I)
        wider = layer.states(B, width)
        bridge = {n: n for n, s in layer.states(B, I).items() if s.shape == wider[n].shape}
        model = EncoderDecoder(layer, Recurrent(c.cell, H), bridge, decoding)
        ends = {"lengths": (3, 0, 2), "source_lengths": SOURCE_LENGTHS}
        return by_problem(c, model, {"T": 3, "S": 4, "B": B, "I": I, "J": I}, ends)

    return arrays


def fed_back(c: Context) -> tuple[dict, dict]:
    """One-to-many: each output, projected, is the next input."""
    T, B = 4, 3
    model = Feedback(Recurrent(c.cell, H), I, True)
    params, state = drawn(c, 1, model.parameters()), drawn(c, 2, model.states(B))
    inputs = drawn(c, 3, model.inputs(T, B))
    x = drawn(c, 4, {"first": Array((B, I)), "dy": Array((T, B, I))})
    ends = np.array([4, 0, 2])
    run = model.forward(c.target, params, T, x["first"], state, ends, inputs)
    dstate = drawn(c, 5, {name: Array(value.shape) for name, value in state.items()})
    grads = model.backward(run.tape, x["dy"], dstate)

    wide, given = cast(x), [part(cast(arrays), "layer") for arrays in (state, inputs, dstate)]
    slow = reference_feedback.forward(
        reference_cell(c.cell), cast(params), T, wide["first"], given[0], ends, given[1]
    )
    back = reference_feedback.backward(slow.tape, wide["dy"], given[2])
    slow, back = (found._replace(state=joined({"layer": found.state})) for found in (slow, back))
    return fed_arrays(run, grads), fed_arrays(slow, back)


def fed_arrays(run, grads) -> dict[str, np.ndarray]:
    """``result_arrays`` of a network that has a first input in place of x."""
    named = result_arrays(run, Gradients(grads.params, grads.first, grads.state))
    named["dfirst"] = named.pop("dx")
    return named


PAIRS = {
    "encoder-decoder": by_pair(None),
    "additive attention": by_pair(Bahdanau(Additive(3))),
    "dot attention": by_pair(Luong(Dot(), 3)),
    "input feeding": by_pair(InputFeeding(General(), 3)),
}
WIDER = ("additive attention", "input feeding")  # their decoder is given more than x
NETWORKS = {
    "stacked": by_layer(stacked),
    "residual": by_layer(residual),
    "bidirectional": by_layer(concatenated),
    "bidirectional product": by_layer(multiplied),
    "one to many": fed_back,
} | PAIRS


def networks_of(cell: str) -> list[str]:
    """The names of those that can be made of it."""
    # what adds x to a state needs x to be as wide
    without = WIDER if get_cell(cell).spec.equal_widths else ()
    return [name for name in NETWORKS if name not in without]


def check_networks(c: Context) -> Iterator[Result]:
    """Some networks of this cell (all where thorough), ragged."""
    names = networks_of(c.cell)
    sizes = {"T": 2 * 5, "I": 2 * I, "H": H, "B": 3}  # two layers of five steps
    for name in names if c.thorough else [names[c.turn % len(names)]]:
        got, want = NETWORKS[name](c)

        def allowed(expected):
            return tolerance(c.dtype, sizes, expected)

        yield from compare(name, got, want, allowed, c.dtype)
