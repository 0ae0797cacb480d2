"""What holds for layers of every topology, without the reference."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.layers.case import random_layer_case, result_arrays, run_layer_case
from rnnbench.layers.describe import to_data

HERE = runpy.run_path(str(Path(__file__).with_name("topologies.py")))
T, B, I, LENGTHS, LAYERS, ALL = (HERE[n] for n in ("T", "B", "I", "LENGTHS", "LAYERS", "ALL"))
EVERY_LAYER = pytest.mark.parametrize("layer", ALL.values(), ids=ALL)
EVERY_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def case_of(layer, lengths=None):
    return random_layer_case(layer, T, B, I, lengths=lengths)


def test_the_layers_here_have_what_cells_have():
    """Or the list above stands for less than it says."""
    inside = {
        layer["cell"]: get_cell(layer["cell"], **layer["options"]).spec
        for data in map(to_data, ALL.values())
        for layer in leaves(data)
        if layer["kind"] == "Recurrent"
    }
    assert {len(spec.states) for spec in inside.values()} >= {1, 2, 3, 4}
    assert any(spec.inputs for spec in inside.values())
    assert any(spec.widths for spec in inside.values())
    assert any(len(spec.stages) > 2 for spec in inside.values())


def leaves(data):
    inner = [*data.get("layers", []), *(data[d] for d in ("forward", "backward") if d in data)]
    return [leaf for layer in inner for leaf in leaves(layer)] if inner else [data]


@EVERY_LAYER
def test_padding_contributes_nothing(layer):
    """NaN there, also in masks, changes no bit; y and dx there are zero."""
    lengths = LENGTHS["ragged"]
    case, target = case_of(layer, lengths), get_target("plain")
    clean = run_layer_case(case, target)
    padding = np.arange(T)[:, None] >= np.array(lengths)
    wanted = layer.inputs(T, B, I)
    for name, values in {"x": case.x, "dy": case.dy, **case.inputs}.items():
        if name in ("x", "dy") or wanted[name].per_step:
            values[padding] = np.nan
        else:
            values[np.array(lengths) == 0] = np.nan
    dirty = run_layer_case(case, target)
    for name in clean:
        np.testing.assert_array_equal(dirty[name], clean[name], err_msg=name)
    assert not clean["y"][padding].any() and not clean["dx"][padding].any()


@EVERY_LAYER
def test_an_empty_sequence_keeps_its_states(layer):
    case = case_of(layer, LENGTHS["ragged"])
    found = run_layer_case(case, get_target("plain"))
    for name in case.state:
        np.testing.assert_array_equal(found[f"state.{name}"][2], case.state[name][2])
        np.testing.assert_array_equal(found[f"dstate.{name}"][2], case.dstate[name][2])


@EVERY_LAYER
def test_each_sequence_alone_is_the_batch(layer):
    lengths = LENGTHS["ragged"]
    case, target = case_of(layer, lengths), get_target("plain")
    found = run_layer_case(case, target)
    wanted = layer.inputs(T, B, I)
    total = {}
    for b, n in enumerate(lengths):
        if n == 0:
            continue
        one = slice(b, b + 1)
        alone = replace(
            case,
            x=case.x[:n, one],
            state={name: v[one] for name, v in case.state.items()},
            lengths=None,
            inputs={
                name: v[:n, one] if wanted[name].per_step else v[one]
                for name, v in case.inputs.items()
            },
            dy=case.dy[:n, one],
            dstate={name: v[one] for name, v in case.dstate.items()},
        )
        for name, array in run_layer_case(alone, target).items():
            if name in ("y", "dx"):
                got = found[name][:n, one]
            elif name.startswith(("state.", "dstate.")):
                got = found[name][one]
            else:
                total[name] = total.get(name, 0) + array
                continue
            np.testing.assert_allclose(got, array, rtol=1e-11, atol=1e-13, err_msg=name)
    for name, array in total.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-11, atol=1e-12, err_msg=name)


@EVERY_LAYER
@EVERY_LENGTH
def test_gradients_through_y_and_through_the_states_superpose(layer, lengths):
    case, target = case_of(layer, lengths), get_target("plain")
    run = layer.forward(target, *case.forward_arguments())
    both, by_y, by_state = (
        result_arrays(run, layer.backward(run.tape, dy, dstate))
        for dy, dstate in ((case.dy, case.dstate), (case.dy, None), (None, case.dstate))
    )
    for name in both:
        if name != "y" and not name.startswith("state."):
            np.testing.assert_allclose(
                by_y[name] + by_state[name], both[name], rtol=1e-11, atol=1e-13, err_msg=name
            )


@EVERY_LAYER
def test_a_directional_derivative(layer):
    """Along one random direction of everything together, by central differences."""
    case, target = case_of(layer, LENGTHS["shorter"]), get_target("plain")
    found = run_layer_case(case, target)
    rng = np.random.default_rng(2)
    moved = {f"d{name}": v for name, v in case.params.items()} | {"dx": case.x}
    moved |= {f"dstate.{name}": v for name, v in case.state.items()}
    along = {name: rng.standard_normal(np.shape(v)) for name, v in moved.items()}

    def loss(e):
        run = layer.forward(
            target,
            {name: v + e * along[f"d{name}"] for name, v in case.params.items()},
            case.x + e * along["dx"],
            {name: v + e * along[f"dstate.{name}"] for name, v in case.state.items()},
            case.lengths,
            case.inputs,
        )
        return (run.y * case.dy).sum() + sum(
            (case.dstate[n] * v).sum() for n, v in run.state.items()
        )

    step = 1e-5
    want = (loss(step) - loss(-step)) / (2 * step)
    got = sum((found[name] * a).sum() for name, a in along.items())
    # the third derivative times step² is of order 1e-9, rounding over the step 1e-10
    assert got == pytest.approx(want, rel=1e-6, abs=1e-6)


@EVERY_LAYER
def test_what_the_tape_keeps_is_its_own(layer):
    """The caller may write to all that he gave, and go back twice."""
    for lengths in (None, LENGTHS["ragged"]):
        case, target = case_of(layer, lengths), get_target("plain")
        run = layer.forward(target, *case.forward_arguments())
        before = layer.backward(run.tape, case.dy, case.dstate)
        given = [case.x, *case.params.values(), *case.state.values(), *case.inputs.values()]
        for array in given:
            array[...] = np.nan
        dy, dstate = case.dy.copy(), {name: v.copy() for name, v in case.dstate.items()}
        after = layer.backward(run.tape, case.dy, case.dstate)
        for name, want in result_arrays(run, before).items():
            np.testing.assert_array_equal(result_arrays(run, after)[name], want, err_msg=name)
        np.testing.assert_array_equal(case.dy, dy)
        for name in dstate:
            np.testing.assert_array_equal(case.dstate[name], dstate[name])


@EVERY_LAYER
def test_without_a_tape_and_in_any_layout(layer):
    case, target = case_of(layer, LENGTHS["ragged"]), get_target("plain")
    run = layer.forward(target, *case.forward_arguments())
    odd = layer.forward(
        target,
        {name: v.copy(order="F") for name, v in case.params.items()},
        case.x.copy(order="F"),
        case.state,
        list(case.lengths),
        case.inputs,
        tape=False,
    )
    assert odd.tape is None
    np.testing.assert_array_equal(odd.y, run.y)
    for name in run.state:
        np.testing.assert_array_equal(odd.state[name], run.state[name])


def turned_round(values):
    """The same numbers, lying in memory in the reverse order of time and of units."""
    return values[::-1, :, ::-1].copy()[::-1, :, ::-1]


@EVERY_LAYER
@EVERY_LENGTH
def test_inside_x_and_dy_have_any_layout(layer, lengths):
    """Bit for bit, and what the tape keeps of them is its own: so layers hand each other views."""
    case, target = case_of(layer, lengths), get_target("plain")
    want = run_layer_case(case, target)
    wanted = layer.inputs(T, B, I)
    x, dy = turned_round(case.x), turned_round(case.dy)
    if lengths is not None:
        dy[np.arange(T)[:, None] >= case.lengths] = 0
    given = {
        name: turned_round(v) if wanted[name].per_step and v.ndim == 3 else v
        for name, v in case.inputs.items()
    }
    assert not x.flags.c_contiguous and not dy.flags.c_contiguous
    run = layer.run(target, case.params, x, case.state, case.lengths, dict(given), True)
    for array in (x, *given.values()):
        array[...] = np.nan
    back = layer.run_backward(run.tape, dy, case.dstate)
    for name, value in result_arrays(run, back).items():
        np.testing.assert_array_equal(value, want[name], err_msg=name)


@pytest.mark.parametrize("name", [n for n, layer in LAYERS.items() if layer.causal])
def test_a_causal_layer_goes_on_from_its_states(name):
    layer, target = LAYERS[name], get_target("plain")
    case = case_of(layer, LENGTHS["ragged"])
    whole = layer.forward(target, *case.forward_arguments())
    state, y = case.state, []
    wanted = layer.inputs(T, B, I)
    for t0, t1 in ((0, 2), (2, 3), (3, T)):
        inside = np.clip(case.lengths - t0, 0, t1 - t0)
        inputs = {n: v[t0:t1] if wanted[n].per_step else v for n, v in case.inputs.items()}
        piece = layer.forward(target, case.params, case.x[t0:t1], state, inside, inputs)
        state = piece.state
        y.append(piece.y)
    # not bits: NumPy's products of another number of rows may round otherwise
    np.testing.assert_allclose(np.concatenate(y), whole.y, rtol=1e-13, atol=1e-15)
    for key in state:
        np.testing.assert_allclose(state[key], whole.state[key], rtol=1e-13, atol=1e-15)


def test_both_ways_are_not_causal():
    assert not LAYERS["both ways"].causal and not LAYERS["stack of both ways"].causal
    assert LAYERS["stack"].causal and LAYERS["feed-forward on top"].causal
    case = case_of(LAYERS["both ways"])
    moved = case.x.copy()
    moved[-1] += 1
    changed = [
        LAYERS["both ways"].forward(get_target("plain"), case.params, x, case.state).y[0]
        for x in (case.x, moved)
    ]
    assert (changed[0] != changed[1]).any()
