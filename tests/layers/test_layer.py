"""A layer's edge: one cell as a layer, names, bad input, and layers as data."""

import json

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.errors import InputError
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case, run_layer_case
from rnnbench.layers.describe import kinds, layer_from, to_data
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.layer import Layer, apart, joined, part
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack

NESTED = Stack(
    [
        Bidirectional(
            Recurrent("lstm[projection=true,clip=2]", 5, {"P": 3}),
            Stack([Recurrent("scrn", 5), FeedForward((3,), "relu")], masks="sequence"),
            "product",
        ),
        FeedForward([3, 3], ["sigmoid", "identity"]),
        Recurrent("phased_lstm", 2),
    ],
    (True, True, False),
    "step",
)


def refused(call, message):
    with pytest.raises(InputError, match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", ["plain", "cpu"])
@pytest.mark.parametrize("lengths", [None, (5, 1, 0, 3)], ids=["whole", "ragged"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_one_cell_has_the_bits_of_the_target(cell, lengths, name):
    layer, target = Recurrent(cell, 6), get_target(name)
    case = random_layer_case(layer, lengths=lengths)
    found = run_layer_case(case, target)
    run = target.forward(cell, case.params, case.x, case.state, lengths)
    gradients = target.backward(run.tape, case.dy, case.dstate)
    want = {"y": run.y} | {f"state.{n}": history[-1] for n, history in run.states.items()}
    want |= {"dx": gradients.x} | {f"d{n}": g for n, g in gradients.params.items()}
    want |= {f"dstate.{n}": g for n, g in gradients.state.items()}
    assert list(found) == list(want)
    for key in want:
        np.testing.assert_array_equal(found[key], want[key], err_msg=key)


def test_missing_states_and_upstreams_are_zero():
    layer, target = Recurrent("lstm", 4), get_target("plain")
    case = random_layer_case(layer)
    zeros = {name: np.zeros_like(v) for name, v in case.state.items()}
    bare = layer.forward(target, case.params, case.x, {"h": zeros["h"]})
    full = layer.forward(target, case.params, case.x, zeros, [5, 5, 5, 5])
    np.testing.assert_array_equal(bare.y, full.y)
    nothing = layer.backward(bare.tape)
    assert not nothing.x.any() and not any(g.any() for g in nothing.params.values())
    some = layer.backward(bare.tape, case.dy, {"c": case.dstate["c"]})
    same = layer.backward(full.tape, case.dy, zeros | {"c": case.dstate["c"]})
    np.testing.assert_array_equal(some.x, same.x)


def test_a_default_is_made_over_all_steps():
    """So that pieces of a sequence count on: clockwork's units are active by the step's number."""
    layer, target = Stack([Recurrent("clockwork", 4), Recurrent("gru", 2)]), get_target("plain")
    case = random_layer_case(layer, T=6)
    whole = layer.forward(target, case.params, case.x, case.state)
    inputs = layer.all_inputs(None, 6, 4, 3, case.x.dtype)
    assert list(inputs) == ["0.active"]
    state, y, anew = case.state, [], case.state
    for t0, t1 in ((0, 3), (3, 6)):
        now = {name: v[t0:t1] for name, v in inputs.items()}
        piece = layer.forward(target, case.params, case.x[t0:t1], state, None, now)
        state = piece.state
        y.append(piece.y)
        anew = layer.forward(target, case.params, case.x[t0:t1], anew).state
    np.testing.assert_allclose(np.concatenate(y), whole.y, rtol=1e-13)
    assert np.abs(anew["0.h"] - whole.state["0.h"]).max() > 1e-3
    given = {"0.active": case.inputs["0.active"]}
    np.testing.assert_array_equal(
        layer.all_inputs(given, 6, 4, 3, case.x.dtype)["0.active"], given["0.active"]
    )
    assert Bidirectional(*[Recurrent("clockwork", 4)] * 2).all_inputs(
        None, 6, 4, 3, case.x.dtype
    ).keys() == {"forward.active"}  # the backward direction's counts in its own order


def test_dotted_names_come_apart_and_together():
    arrays = {"0.R": 1, "0.W": 2, "10.R": 3, "forward.0.R": 4}
    assert part(arrays, "0") == {"R": 1, "W": 2}
    assert part(arrays, "1") == {} and part(arrays, "10") == {"R": 3}
    assert part(part(arrays, "forward"), "0") == {"R": 4}
    assert apart(arrays, ("0", "1", "forward")) == [{"R": 1, "W": 2}, {}, {"0.R": 4}]
    assert joined({name: part(arrays, name) for name in ("0", "10", "forward")}) == arrays


def test_sizes_are_known_for_each_call():
    """What is remembered of one T, B or I is not taken for another."""
    layer, target = Stack([Recurrent("gru", 3)], masks="step"), get_target("plain")
    for T, B, I in ((2, 3, 4), (3, 2, 4), (2, 3, 5), *((t, 1, 4) for t in range(1, 70))):
        case = random_layer_case(layer, T, B, I)
        assert run_layer_case(case, target)["dx"].shape == (T, B, I)
    assert len(vars(layer)["_known"]) <= 64


BAD = {
    "x 2-D": (dict(x=np.ones((5, 3))), "x has 2 dimensions"),
    "B zero": (dict(x=np.ones((5, 0, 3))), "B must be at least 1"),
    "x integer": (dict(x=np.ones((5, 4, 3), int)), "x has dtype int64"),
    "dtypes": (dict(x=np.ones((5, 4, 3), np.float32)), "parameter 0.W has dtype float64"),
    "I": (dict(x=np.ones((5, 4, 2))), r"parameter 0.W has shape \(20, 3\); needs \(20, 2\)"),
    "params": (dict(params=None), "parameters: a NoneType; needs a mapping"),
    "missing": (dict(params={}), r"parameter 0.W is missing; needs an array of shape \(20, 3\)"),
    "undotted": (dict(more={"W": np.ones(3)}), "unknown parameter 'W'; allowed: 0.W, 0.R, 0.b"),
    "number": (dict(more={"2.W": np.ones(3)}), "unknown parameter '2.W'"),
    "state": (dict(state={"h": np.ones((4, 5))}), "unknown state 'h'; allowed: 0.h, 0.c, 1.h"),
    "state shape": (dict(state={"1.h": np.ones((4, 5))}), "state 1.h has shape"),
    "input": (dict(inputs={"mask.1": np.ones((5, 4, 2))}), "unknown input 'mask.1'"),
    "mask": (dict(inputs={"mask.0": np.ones((4, 5))}), "input mask.0 has shape"),
    "lengths": (dict(lengths=[6, 1, 1, 1]), "a length is 6"),
    "lengths count": (dict(lengths=[1]), "lengths have shape"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD)
def test_bad_calls(change, message):
    layer = Stack([Recurrent("lstm", 5), Recurrent("gru", 2)], masks="step")
    case = random_layer_case(layer)
    given = dict(params=case.params, x=case.x) | change
    if "more" in given:
        given["params"] = given["params"] | given.pop("more")
    refused(lambda: layer.forward(get_target("plain"), **given), message)


def test_bad_way_back():
    layer, target = Recurrent("gru", 5), get_target("plain")
    case = random_layer_case(layer)
    tape = layer.forward(target, *case.forward_arguments()).tape
    refused(lambda: layer.backward(None), "tape is a NoneType; needs one of this layer's forward")
    refused(lambda: Recurrent("gru", 5).backward(tape), "needs one of this layer's forward")
    refused(lambda: layer.backward(tape, case.dy[1:]), "dy has shape")
    refused(lambda: layer.backward(tape, case.dy.astype(np.float32)), "dy has dtype float32")
    refused(lambda: layer.backward(tape, None, {"c": case.dy[0]}), "unknown dstate 'c'; allowed: h")


def test_bad_cells():
    refused(lambda: Recurrent("gruu", 5), "unknown cell 'gruu'")
    refused(lambda: Recurrent("gru", 0), "hidden_size is 0")
    refused(lambda: Recurrent("gru", 5, {"P": 2}), "unknown width of gru 'P'; allowed: none")
    refused(lambda: Recurrent("scrn", 5, {"P": 2}), "unknown width of scrn 'P'; allowed: S")
    refused(lambda: Recurrent("scrn", 5, {"S": 0}), "width S is 0")
    refused(lambda: Recurrent("scrn", 5, [2]), "widths is .* needs a mapping")


# -- as data -------------------------------------------------------------------------------------


def test_data_are_those_of_the_layer():
    assert to_data(NESTED) == {
        "kind": "Stack",
        "layers": [
            {
                "kind": "Bidirectional",
                "forward": {
                    "kind": "Recurrent",
                    "cell": "lstm",
                    "options": {"clip": 2.0, "projection": True},
                    "hidden_size": 5,
                    "widths": {"P": 3},
                },
                "backward": {
                    "kind": "Stack",
                    "layers": [
                        {
                            "kind": "Recurrent",
                            "cell": "scrn",
                            "options": {},
                            "hidden_size": 5,
                            "widths": {"S": 3},
                        },
                        {"kind": "FeedForward", "sizes": [3], "activation": ["relu"]},
                    ],
                    "residual": [False, False],
                    "masks": "sequence",
                },
                "merge": "product",
            },
            {"kind": "FeedForward", "sizes": [3, 3], "activation": ["sigmoid", "identity"]},
            {
                "kind": "Recurrent",
                "cell": "phased_lstm",
                "options": {},
                "hidden_size": 2,
                "widths": {},
            },
        ],
        "residual": [True, True, False],
        "masks": "step",
    }


def test_data_go_through_json_to_the_same_layer():
    text = json.dumps(to_data(NESTED))
    again = layer_from(json.loads(text))
    assert json.dumps(to_data(again)) == text
    case = random_layer_case(NESTED, lengths=(5, 3, 0, 1))
    run = again.forward(get_target("plain"), *case.forward_arguments())
    back = again.backward(run.tape, case.dy, case.dstate)
    want = run_layer_case(case, get_target("plain"))
    np.testing.assert_array_equal(run.y, want["y"])
    for name, gradient in back.params.items():
        np.testing.assert_array_equal(gradient, want[f"d{name}"])


def test_every_kind_is_found():
    assert {"Recurrent", "Stack", "Bidirectional", "FeedForward"} <= kinds().keys()


CELL = {"kind": "Recurrent", "cell": "gru", "hidden_size": 3}
BAD_DATA = {
    "no mapping": ("gru", "a layer is given as 'gru'; needs a mapping"),
    "no kind": ({"cell": "gru"}, "unknown kind of layer None; allowed: .*Bidirectional"),
    "kind": ({"kind": "Tower"}, "unknown kind of layer 'Tower'"),
    "missing": ({"kind": "Recurrent", "cell": "gru"}, "a Recurrent is not made of cell"),
    "more": (CELL | {"depth": 2}, "a Recurrent is not made of cell, hidden_size, depth"),
    "cell": (CELL | {"cell": {"name": "gru"}}, "needs a name and a mapping"),
    "option": (CELL | {"options": {"clap": 1}}, "unknown option of gru 'clap'"),
    "options": (CELL | {"options": [1]}, "needs a name and a mapping option -> value"),
    "inside": (
        {"kind": "Stack", "layers": [CELL | {"kind": "Row"}]},
        "unknown kind of layer 'Row'",
    ),
    "no layer": ({"kind": "Stack", "layers": ["gru"]}, "layer 0 is a str; needs a layer"),
}


@pytest.mark.parametrize("data, message", BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(data, message):
    refused(lambda: layer_from(data), message)


def test_what_has_no_data():
    class Own(Layer):
        pass

    refused(lambda: to_data(Own()), "unknown kind of layer 'Own'")
    refused(lambda: to_data("gru"), "layer is a str; needs a layer")
    gru = get_cell("gru")
    other = type(gru)(gru.spec, gru.backward, gru.forward)  # another cell of that name
    refused(lambda: to_data(Recurrent(other, 3)), "cell gru is another one than the registry's")
