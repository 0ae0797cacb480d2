"""Stacks: one layer is the layer, residual sums, masks between layers."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case, run_layer_case
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack, dropout_mask

PLAIN = get_target("plain")
LENGTHS = {"whole": None, "ragged": (4, 5, 0, 1)}
EVERY_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


@EVERY_LENGTH
@pytest.mark.parametrize("name", ["plain", "cpu"])
@pytest.mark.parametrize(
    "layer", [Recurrent("lstm", 5), Bidirectional(Recurrent("gru", 3), Recurrent("lstm", 2))]
)
def test_a_stack_of_one_is_that_one(layer, name, lengths):
    """Bit for bit."""
    case = random_layer_case(layer, lengths=lengths)
    want = run_layer_case(case, get_target(name))
    stack = Stack([layer])
    run = stack.forward(
        get_target(name),
        {f"0.{key}": v for key, v in case.params.items()},
        case.x,
        {f"0.{key}": v for key, v in case.state.items()},
        lengths,
    )
    back = stack.backward(run.tape, case.dy, {f"0.{key}": v for key, v in case.dstate.items()})
    found = {"y": run.y, "dx": back.x}
    for prefix, arrays in (("state.", run.state), ("d", back.params), ("dstate.", back.state)):
        assert all(key.startswith("0.") for key in arrays)
        found |= {prefix + key.removeprefix("0."): v for key, v in arrays.items()}
    assert found.keys() == want.keys()
    for key in want:
        np.testing.assert_array_equal(found[key], want[key], err_msg=key)


@EVERY_LENGTH
def test_a_stack_is_its_layers_one_after_the_other(lengths):
    """Bit for bit, and so is a stack of stacks."""
    cells = [Recurrent("lstm", 5), Recurrent("gru", 3), Recurrent("elman_tanh", 4)]
    case = random_layer_case(Stack(cells), lengths=lengths)
    want = run_layer_case(case, PLAIN)

    def of(arrays, l):
        return {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{l}.")}

    x, runs = case.x, []
    for l, cell in enumerate(cells):
        runs.append(cell.forward(PLAIN, of(case.params, l), x, of(case.state, l), lengths))
        x = runs[l].y
    np.testing.assert_array_equal(x, want["y"])
    dy = case.dy
    for l in (2, 1, 0):
        back = cells[l].backward(runs[l].tape, dy, of(case.dstate, l))
        for name, gradient in back.params.items():
            np.testing.assert_array_equal(gradient, want[f"d{l}.{name}"])
        dy = back.x
    np.testing.assert_array_equal(dy, want["dx"])

    nested = Stack([Stack(cells[:2]), cells[2]])
    names = {"0": "0.0", "1": "0.1", "2": "1"}
    params = {names[k[0]] + k[1:]: v for k, v in case.params.items()}
    state = {names[k[0]] + k[1:]: v for k, v in case.state.items()}
    assert nested.parameters(3).keys() == params.keys()
    run = nested.forward(PLAIN, params, case.x, state, lengths)
    np.testing.assert_array_equal(run.y, want["y"])


@EVERY_LENGTH
def test_a_residual_layer_adds_its_input(lengths):
    """y with the flag is y without it plus x, zero in padding; of gradients only dx changes."""
    cell = Recurrent("gru", 3)
    bare, residual = Stack([cell]), Stack([cell], (True,))
    case = random_layer_case(bare, lengths=lengths)
    runs = [s.forward(PLAIN, *case.forward_arguments()) for s in (bare, residual)]
    T, B, _ = case.x.shape
    valid = np.arange(T)[:, None] < (np.full(B, T) if lengths is None else np.array(lengths))
    here = np.where(valid[:, :, None], case.x, 0)
    np.testing.assert_array_equal(runs[1].y, runs[0].y + here)
    backs = [
        s.backward(run.tape, case.dy, case.dstate)
        for s, run in zip((bare, residual), runs, strict=True)
    ]
    np.testing.assert_array_equal(backs[1].x, backs[0].x + np.where(valid[:, :, None], case.dy, 0))
    for name in backs[0].params:
        np.testing.assert_array_equal(backs[1].params[name], backs[0].params[name])


def test_residual_true_leaves_the_first_out():
    """Whose input may be of another width."""
    cells = [Recurrent("gru", 4), Recurrent("lstm", 4), Recurrent("gru", 4)]
    assert Stack(cells, True).residual == (False, True, True)
    assert Stack(cells).residual == (False, False, False)
    assert Stack(cells, [True, False, True]).residual == (True, False, True)
    one = Stack(cells, True)
    assert one.output_size(7) == 4 and one.parameters(7)["0.W"].shape == (12, 7)


@EVERY_LENGTH
def test_masks_of_ones_are_no_masks(lengths):
    """Given or not: bit for bit."""
    cells = [Recurrent("lstm", 4), Recurrent("gru", 4), Recurrent("gru", 2)]
    for kind in ("step", "sequence"):
        layer = Stack(cells, (False, True, False), kind)
        case = random_layer_case(layer, lengths=lengths)
        assert list(case.inputs) == ["mask.0", "mask.1"]
        ones = {name: np.ones_like(v) for name, v in case.inputs.items()}
        runs = [
            layer.forward(PLAIN, case.params, case.x, case.state, lengths, inputs)
            for inputs in (None, ones, {"mask.1": ones["mask.1"]}, case.inputs)
        ]
        backs = [layer.backward(run.tape, case.dy, case.dstate) for run in runs]
        for run, back in zip(runs[1:3], backs[1:3], strict=True):
            np.testing.assert_array_equal(run.y, runs[0].y)
            np.testing.assert_array_equal(back.x, backs[0].x)
        assert np.abs(runs[3].y - runs[0].y).max() > 1e-3


@EVERY_LENGTH
def test_one_mask_for_all_steps_is_that_mask_at_each(lengths):
    cells = [Recurrent("lstm", 4), Recurrent("gru", 3)]
    once, each = Stack(cells, masks="sequence"), Stack(cells, masks="step")
    case = random_layer_case(once, lengths=lengths)
    mask = case.inputs["mask.0"]
    assert mask.shape == (4, 4) and set(np.unique(mask)) == {0, 1 / 0.6}
    run = once.forward(PLAIN, *case.forward_arguments())
    again = {"mask.0": np.tile(mask, (5, 1, 1))}
    same = each.forward(PLAIN, case.params, case.x, case.state, lengths, again)
    np.testing.assert_array_equal(run.y, same.y)
    backs = once.backward(run.tape, case.dy), each.backward(same.tape, case.dy)
    for name in backs[0].params:
        np.testing.assert_array_equal(backs[0].params[name], backs[1].params[name])


def test_a_dropped_unit_has_no_effect_and_no_gradient():
    """Of layer 0 nothing but its own recurrence sees a unit whose mask is 0 at all steps."""
    layer = Stack([Recurrent("elman_tanh", 4), Recurrent("gru", 3)], masks="sequence")
    case = random_layer_case(layer)
    mask = np.ones((4, 4))
    mask[:, 2] = 0
    case.params["0.R"][[0, 1, 3], 2] = 0
    run = layer.forward(PLAIN, case.params, case.x, case.state, None, {"mask.0": mask})
    back = layer.backward(run.tape, case.dy)
    assert not back.params["0.b"][2] and not back.params["0.W"][2].any()
    assert not back.params["1.W"][:, 2].any() and back.params["1.W"][:, 1].any()


@pytest.mark.parametrize("shape", [(50, 8, 40), (80, 200)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_masks(shape, dtype):
    """0 or 1/(1 − rate), of mean 1 within four deviations of 16 000 draws, by seed."""
    make = [dropout_mask(np.random.default_rng(s), shape, 0.3, dtype) for s in (0, 0, 1)]
    assert make[0].shape == shape and make[0].dtype == dtype
    assert set(np.unique(make[0])) == {dtype(0), dtype(1 / 0.7)}
    deviation = np.sqrt(0.3 / 0.7 / make[0].size)
    assert abs(make[0].mean() - 1) < 4 * deviation
    np.testing.assert_array_equal(make[0], make[1])
    assert (make[0] != make[2]).any()
    np.testing.assert_array_equal(dropout_mask(np.random.default_rng(0), (3,), 0), 1)


BAD = {
    "empty": (lambda: Stack([]), "layers is empty; a stack needs at least one"),
    "no list": (lambda: Stack(Recurrent("gru", 3)), "layers is a Recurrent; needs a list"),
    "a name": (lambda: Stack("gru"), "layers is a str; needs a list"),
    "no layer": (lambda: Stack([Recurrent("gru", 3), "gru"]), "layer 1 is a str; needs a layer"),
    "flags": (
        lambda: Stack([Recurrent("gru", 3)] * 2, (True,)),
        r"residual is \(True,\); needs True, False, or one of them for each of 2 layers",
    ),
    "flag": (lambda: Stack([Recurrent("gru", 3)], (1,)), r"residual is \(1,\)"),
    "masks": (
        lambda: Stack([Recurrent("gru", 3)], masks="all"),
        "unknown masks 'all'; allowed: none, step, sequence",
    ),
    "rate": (lambda: dropout_mask(np.random.default_rng(0), (3,), 1.0), "rate is 1.0; needs"),
    "rate nan": (lambda: dropout_mask(np.random.default_rng(0), (3,), np.nan), "rate is nan"),
    "rng": (lambda: dropout_mask(0, (3,), 0.5), "rng is a int; needs a numpy.random.Generator"),
    "dtype": (
        lambda: dropout_mask(np.random.default_rng(0), (3,), 0.5, np.float16),
        "unknown dtype 'float16'",
    ),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_stacks(call, message):
    with pytest.raises(InputError, match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            Stack([Recurrent("gru", 4), Recurrent("gru", 3)], True),
            "layer 1 is residual and needs equal widths; its input has 4, its output 3",
        ),
        (Stack([Recurrent("gru", 4)], (True,)), "layer 0 is residual .* its input has 3"),
    ],
)
def test_residual_widths_that_disagree(layer, message):
    with pytest.raises(InputError, match=message):
        layer.forward(PLAIN, {}, np.ones((5, 4, 3)))
