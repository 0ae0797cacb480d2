"""Networks of the reference: the complex step, balls, a second order of loops, the cells alone."""

from dataclasses import replace

import flint
import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case, result_arrays
from rnnbench.layers.describe import to_data
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench_reference import layers as networks

STEP = 1e-30
RAGGED = (3, 1, 5, 0)
NETWORKS = {
    "three cells, masks by step": Stack(
        [Recurrent("lstm", 3), Recurrent("gru", 4), Recurrent("elman_tanh", 2)], masks="step"
    ),
    "residual, masks by sequence": Stack(
        [Recurrent("gru", 2), Recurrent("lstm_peephole", 2), Recurrent("janet", 2)],
        residual=(True, False, True),
        masks="sequence",
    ),
    "projection below feed-forward": Stack(
        [
            Recurrent("lstm[projection=true,recurrent_dropout=true]", 4, {"P": 3}),
            FeedForward((3, 2), ("sigmoid", "identity")),
        ],
        residual=(False, False),
    ),
    "feed-forward alone": FeedForward((4, 3, 2), ("tanh", "sigmoid", "identity")),
    "concat of a cell and a stack": Bidirectional(
        Recurrent("lstm", 3), Stack([Recurrent("gru", 2), Recurrent("scrn", 3)], masks="step")
    ),
    "product": Bidirectional(Recurrent("gru", 3), Recurrent("lstm", 3), "product"),
    "mean, with timestamps": Bidirectional(
        Recurrent("gru", 3), Recurrent("phased_lstm", 3), "mean"
    ),
    "stack of both ways": Stack(
        [
            Bidirectional(Recurrent("lstm", 2), Recurrent("elman_tanh", 2), "sum"),
            Bidirectional(FeedForward((2,)), Recurrent("gru", 2), "product"),
            FeedForward((3,)),
        ],
        residual=(True, True, False),
        masks="step",
    ),
}
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def case_of(network, dtype=np.float64, lengths=RAGGED, seed=0):
    return random_layer_case(network, T=5, B=4, I=2, dtype=dtype, seed=seed, lengths=lengths)


def results(case, network=None):
    run = networks.forward(network or to_data(case.layer), *case.forward_arguments())
    return result_arrays(run, networks.backward(run.tape, case.dy, case.dstate))


def converted(case, convert):
    """The case with every array of numbers through ``convert``."""
    groups = {
        name: {key: convert(v) for key, v in getattr(case, name).items()}
        for name in ("params", "state", "inputs", "dstate")
    }
    return replace(case, x=convert(case.x), dy=convert(case.dy), **groups)


@EVERY_NETWORK
def test_gradients_by_the_complex_step(network):
    """The derivative of Σ dy·y + Σ dstate·state along a random direction of each array alone."""
    case = case_of(network)
    found = results(case)
    rng = np.random.default_rng(1)
    data = to_data(network)

    def derivative(name, along):
        groups = {"params": dict(case.params), "x": {"x": case.x}, "state": dict(case.state)}
        for arrays in groups.values():
            for key in arrays:
                arrays[key] = arrays[key].astype(complex)
        kind, _, key = name.partition(" ")
        groups[kind][key or "x"] = groups[kind][key or "x"] + 1j * STEP * along
        inputs = {key: v.astype(complex) for key, v in case.inputs.items()}
        run = networks.forward(
            data, groups["params"], groups["x"]["x"], groups["state"], case.lengths, inputs
        )
        loss = (case.dy * run.y).sum()
        loss = loss + sum((case.dstate[key] * v).sum() for key, v in run.state.items())
        return loss.imag / STEP

    gradients = {"x": found["dx"]}
    gradients |= {f"params {name}": found[f"d{name}"] for name in case.params}
    gradients |= {f"state {name}": found[f"dstate.{name}"] for name in case.state}
    for name, gradient in gradients.items():
        along = rng.standard_normal(gradient.shape)
        want = derivative(name, along)
        size = np.abs(gradient * along).sum()  # what the sum's terms may round by
        assert size > 1e-3, f"{name}: no gradient to check"
        assert abs((gradient * along).sum() - want) <= 1e-13 * size, name
        assert abs((1.001 * gradient * along).sum() - want) > 1e-13 * size, name


@EVERY_NETWORK
@pytest.mark.parametrize("dtype, bits", [("float64", 53), ("float32", 24)])
def test_floats_lie_within_four_radii_of_balls(network, dtype, bits, to_balls):
    """As for cells: a ball at the float's precision rounds as often as the float."""
    case = case_of(network, dtype)
    floats = results(case)
    with flint.ctx.workprec(bits):
        balls = results(converted(case, to_balls))
    assert floats.keys() == balls.keys()
    for name, array in floats.items():
        assert array.dtype == dtype, name
        for value, ball in zip(array.flat, balls[name].flat, strict=True):
            assert abs(flint.arb(float(value)) - ball.mid()) <= 4 * ball.rad(), name


@pytest.mark.parametrize(
    "network", [n for n in NETWORKS.values() if isinstance(n, Stack) and n.causal]
)
def test_time_outside_is_layers_outside(network):
    """The two orders of a stack's loops."""
    case = case_of(network)
    one, other = (networks.build(to_data(network)) for _ in range(2))
    assert one.by_step
    other.by_step = False
    want, got = results(case, one), results(case, other)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-13, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("cell", ref.cell_names())
def test_one_cell_is_the_cell(cell):
    """A batch at once, and its sequences one by one."""
    case = case_of(Recurrent(cell, 3))
    run = ref.forward(cell, *case.forward_arguments())
    final = run._replace(states={name: history[-1] for name, history in run.states.items()})
    want = result_arrays(networks.Result(*final), ref.backward(run.tape, case.dy, case.dstate))
    got = results(case)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-11, atol=1e-13, err_msg=name)


@EVERY_NETWORK
def test_nan_in_padding_changes_no_bit(network):
    case = case_of(network)
    clean = results(case)
    by_step = [case.x, case.dy, *(v for v in case.inputs.values() if len(v) == 5)]
    for b, n in enumerate(RAGGED):
        for values in by_step:
            values[n:, b] = np.nan
    dirty = results(case)
    for name in clean:
        np.testing.assert_array_equal(clean[name], dirty[name], err_msg=name)


def test_sums_of_both_ways_by_hand():
    """With W = R = 1 and b = 0, a relu cell adds up positive inputs: x = 1, 2, 4 and x = 8, 16."""
    one, zero = np.ones((1, 1)), np.zeros(1)
    network = {"kind": "Recurrent", "cell": "elman_relu", "hidden_size": 1}
    params = {f"{d}.{k}": v for d in ("forward", "backward") for k, v in
              {"W": one, "R": one, "b": zero}.items()}  # fmt: skip
    x = np.array([[1.0, 8.0], [2.0, 16.0], [4.0, np.nan]])[:, :, None]
    want = {
        "concat": [[[1, 7], [8, 24]], [[3, 6], [24, 16]], [[7, 4], [0, 0]]],
        "sum": [[[8], [32]], [[9], [40]], [[11], [0]]],
        "mean": [[[4], [16]], [[4.5], [20]], [[5.5], [0]]],
        "product": [[[7], [192]], [[18], [384]], [[28], [0]]],
    }
    for merge, y in want.items():
        data = {"kind": "Bidirectional", "forward": network, "backward": network, "merge": merge}
        run = networks.forward(data, params, x, lengths=[3, 2])
        np.testing.assert_array_equal(run.y, y)
        np.testing.assert_array_equal(run.state["forward.h"], [[7], [24]])
        np.testing.assert_array_equal(run.state["backward.h"], [[7], [24]])


CELL = {"kind": "Recurrent", "cell": "gru", "hidden_size": 3}
BAD_NETWORKS = {
    "no mapping": ("gru", "network: str, expected a mapping with a kind"),
    "kind": ({"kind": "Tower"}, "kind: 'Tower', allowed: Recurrent, FeedForward, Stack"),
    "no kind": ({}, "kind: None, allowed"),
    "setting": (CELL | {"depth": 2}, "Recurrent: it is not made of .*depth"),
    "cell": (CELL | {"cell": "gruu"}, "cell: 'gruu' is unknown"),
    "hidden size": (CELL | {"hidden_size": 4}, "H is 3 by their shapes, 4 in the network"),
    "empty stack": (
        {"kind": "Stack", "layers": [], "residual": [], "masks": "none"},
        "Stack: 0 layers",
    ),
    "masks": (
        {"kind": "Stack", "layers": [CELL], "residual": [False], "masks": "all"},
        "masks: 'all', allowed",
    ),
    "merge": (
        {"kind": "Bidirectional", "forward": CELL, "backward": CELL, "merge": "max"},
        "merge: 'max', allowed",
    ),
    "activation": (
        {"kind": "FeedForward", "sizes": [2], "activation": ["gelu"]},
        "activation: 'gelu', allowed: identity, tanh",
    ),
    "sizes": ({"kind": "FeedForward", "sizes": [], "activation": []}, "FeedForward: 0 sizes"),
}


@pytest.mark.parametrize("data, message", BAD_NETWORKS.values(), ids=BAD_NETWORKS)
def test_bad_networks(data, message):
    case = case_of(Recurrent("gru", 3))
    with pytest.raises(ValueError, match=message) as failure:
        networks.forward(data, *case.forward_arguments())
    assert "\n" not in str(failure.value)


def test_bad_arrays():
    network = NETWORKS["concat of a cell and a stack"]
    case, data = case_of(network), to_data(network)
    run = networks.forward(data, *case.forward_arguments())

    def refuse(call, message):
        with pytest.raises(ValueError, match=message) as failure:
            call()
        assert "\n" not in str(failure.value)

    def forward(**changes):
        given = dict(params=case.params, x=case.x, state=case.state, inputs=case.inputs) | changes
        return lambda: networks.forward(data, **given)

    more = case.params | {"sideways.W": np.ones((2, 2))}
    refuse(forward(params=more), "params: unknown name 'sideways.W', expected one that begins with")
    refuse(forward(params={}), "params: 'W' is missing")
    refuse(forward(state={"h": case.dy[0]}), "state: unknown name 'h', allowed: forward.h")
    refuse(forward(state={"forward.h": case.dy}), r"state 'forward.h': shape")
    refuse(forward(inputs={}), "inputs: 'backward.mask.0' is missing")
    refuse(forward(inputs={"backward.mask.0": case.x[:2]}), "input 'backward.mask.0': shape")
    refuse(forward(x=case.x[0]), "x: shape")
    refuse(lambda: networks.backward(None), "tape: NoneType")
    refuse(lambda: networks.backward(run.tape, case.dy[1:]), "dy: shape")
    refuse(lambda: networks.backward(run.tape, None, {"c": case.dy[0]}), "dstate: unknown name 'c'")
    case = case_of(Bidirectional(Recurrent("lstm", 4), Recurrent("gru", 3)))
    unequal = to_data(case.layer) | {"merge": "sum"}
    refuse(lambda: networks.forward(unequal, case.params, case.x), r"merge sum: widths \[4, 3\]")
