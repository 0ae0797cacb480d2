"""What verify asks of networks made of a cell: each against the reference's, one sequence at a time
and step by step. Which networks a cell is checked in changes from cell to cell; a thorough check
takes all."""

from collections.abc import Callable, Iterator

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.comparisons import Result, compare
from rnnbench.conformance.kernel_checks import Context
from rnnbench.conformance.tolerance import tolerance
from rnnbench.layers.attention import Additive, Dot
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import LayerCase, random_layer_case, result_arrays, run_layer_case
from rnnbench.layers.decoding import Bahdanau, Luong
from rnnbench.layers.describe import to_data
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.layer import Layer, random_arrays
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.target import reference_cell
from rnnbench_reference import encoder_decoder as reference_pairs
from rnnbench_reference import layers as reference_layers

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


def by_layer(make: Callable) -> Callable:
    def arrays(c: Context) -> tuple[dict, dict]:
        layer = make(c.cell)
        case = random_layer_case(layer, 5, 3, I, c.dtype, seed=16, lengths=LENGTHS)
        return run_layer_case(case, c.target), layer_by_reference(case)

    return arrays


def layer_by_reference(case: LayerCase) -> dict[str, np.ndarray]:
    """The reference's arrays of a layer's case, in float64."""

    def cast(arrays):
        return {name: value.astype(np.float64) for name, value in arrays.items()}

    x = case.x.astype(np.float64)
    found = reference_layers.forward(
        to_data(case.layer), cast(case.params), x, cast(case.state), case.lengths, cast(case.inputs)
    )
    dy = case.dy.astype(np.float64)
    return result_arrays(found, reference_layers.backward(found.tape, dy, cast(case.dstate)))


def by_pair(decoding, kind: str | None, score: str) -> Callable:
    def arrays(c: Context) -> tuple[dict, dict]:
        T, S, B = 3, 4, 3
        layer = Recurrent(c.cell, H)
        # a state as wide as the input has another width where attention adds to the input
        wider = layer.states(B, I + (H if kind == "bahdanau" else 0))
        bridge = {n: n for n, s in layer.states(B, I).items() if s.shape == wider[n].shape}
        model = EncoderDecoder(layer, Recurrent(c.cell, H), bridge, decoding)
        params = model.random_params(I, I, c.dtype, seed=17)
        state = random_arrays(model.states(B, I, I), c.dtype, [17, 2])
        rng = np.random.default_rng(17)

        def draw(*shape):
            return rng.uniform(-1.0, 1.0, shape).astype(c.dtype)

        source, x = draw(S, B, I), draw(T, B, I)
        dy = draw(T, B, model.output_size(I, I))
        ends = {"source_lengths": np.array(SOURCE_LENGTHS), "lengths": np.array([3, 0, 2])}
        run = model.forward(c.target, params, source, x, state=state, **ends)
        dstate = {name: draw(*value.shape) for name, value in run.state.items()}
        grads = model.backward(run.tape, dy, dstate)

        def cast(arrays):
            return {name: value.astype(np.float64) for name, value in arrays.items()}

        slow_cell = reference_cell(c.cell)
        slow = reference_pairs.forward(
            slow_cell,
            slow_cell,
            cast(params),
            source.astype(np.float64),
            x.astype(np.float64),
            state=cast(state),
            bridge={n: (n,) for n in bridge},
            attention=kind,
            score=score,
            **ends,
        )
        final = {name.removeprefix("decoder."): v for name, v in cast(dstate).items()}
        back = reference_pairs.backward(slow.tape, dy.astype(np.float64), final)
        got = result_arrays(run, grads) | {"dsource": grads.source}
        want = {"y": slow.y} | {f"state.decoder.{name}": v for name, v in slow.state.items()}
        want |= {"dx": back.x, "dsource": back.source}
        want |= {f"d{name}": value for name, value in back.params.items()}
        want |= {f"dstate.{name}": value for name, value in back.state.items()}
        if decoding is not None:
            got["weights"], want["weights"] = run.weights, slow.weights
        return got, want

    return arrays


PAIRS = {
    "encoder-decoder": by_pair(None, None, "additive"),
    "additive attention": by_pair(Bahdanau(Additive(3)), "bahdanau", "additive"),
    "dot attention": by_pair(Luong(Dot(), 3), "luong", "dot"),
}
NETWORKS = {
    "stacked": by_layer(stacked),
    "residual": by_layer(residual),
    "bidirectional": by_layer(concatenated),
    "bidirectional product": by_layer(multiplied),
} | PAIRS


def check_networks(c: Context) -> Iterator[Result]:
    """Some networks of this cell (all where thorough), ragged."""
    spec = get_cell(c.cell).spec
    names = list(NETWORKS)
    if spec.inputs or spec.equal_widths:  # the reference's pairs take no inputs, and wider ones
        names = [name for name in names if name not in PAIRS]
    sizes = {"T": 2 * 5, "I": 2 * I, "H": H, "B": 3}  # two layers of five steps
    for name in names if c.thorough else [names[c.turn % len(names)]]:
        got, want = NETWORKS[name](c)

        def allowed(expected):
            return tolerance(c.dtype, sizes, expected)

        yield from compare(name, got, want, allowed, c.dtype)
