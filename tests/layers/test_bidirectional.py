"""Both directions: by hand, as two layers, and where the last output stands."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers.bidirectional import MERGES, Bidirectional
from rnnbench.layers.case import random_layer_case, run_layer_case
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.sequence import two_ends
from rnnbench.layers.stack import Stack

PLAIN = get_target("plain")
LENGTHS = {"whole": None, "ragged": (4, 5, 0, 1)}
EVERY_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
EVERY_MERGE = pytest.mark.parametrize("merge", MERGES)

# With W = R = 1 and b = 0 a relu cell adds up positive inputs: x = 1, 2, 4 and x = 8, 16.
SUMS = {
    "concat": [[[1, 7], [8, 24]], [[3, 6], [24, 16]], [[7, 4], [0, 0]]],
    "sum": [[[8], [32]], [[9], [40]], [[11], [0]]],
    "mean": [[[4], [16]], [[4.5], [20]], [[5.5], [0]]],
    "product": [[[7], [192]], [[18], [384]], [[28], [0]]],
}
# dx for dy = 1 everywhere: x_t is in f_t, …, f_n and in b_t, …, b_1.
SLOPES = {
    "concat": [[4, 3], [4, 3], [4, 0]],
    "sum": [[4, 3], [4, 3], [4, 0]],
    "mean": [[2, 1.5], [2, 1.5], [2, 0]],
    # Σ_{s≥t} b_s + Σ_{s≤t} f_s
    "product": [[18, 48], [14, 48], [15, 0]],
}


@EVERY_MERGE
def test_sums_of_both_ways_by_hand(merge):
    layer = Bidirectional(Recurrent("elman_relu", 1), Recurrent("elman_relu", 1), merge)
    params = {f"{d}.{k}": np.ones((1, 1)) for d in ("forward", "backward") for k in "WR"}
    params |= {f"{d}.b": np.zeros(1) for d in ("forward", "backward")}
    x = np.array([[1.0, 8.0], [2.0, 16.0], [4.0, np.nan]])[:, :, None]
    run = layer.forward(PLAIN, params, x, lengths=[3, 2])
    np.testing.assert_array_equal(run.y, SUMS[merge])
    for name in ("forward.h", "backward.h"):
        np.testing.assert_array_equal(run.state[name], [[7], [24]])
    back = layer.backward(run.tape, np.ones_like(run.y))
    np.testing.assert_array_equal(back.x[:, :, 0], SLOPES[merge])


@EVERY_LENGTH
def test_each_direction_is_its_layer_alone(lengths):
    """Bit for bit: the forward one over x, the backward one over each sequence turned around."""
    layer = Bidirectional(Recurrent("lstm", 3), Recurrent("gru", 2))
    case = random_layer_case(layer, lengths=lengths)
    found = run_layer_case(case, PLAIN)
    T, B, _ = case.x.shape
    ends = [T] * B if lengths is None else lengths

    def turned(values):
        values = values.copy()
        for b, n in enumerate(ends):
            values[:n, b] = values[:n, b][::-1].copy()
        return values

    for name, inner, units, turn in (
        ("forward", layer.directions[0], slice(0, 3), lambda v: v),
        ("backward", layer.directions[1], slice(3, 5), turned),
    ):

        def of(arrays, name=name):
            prefix = f"{name}."
            return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

        run = inner.forward(PLAIN, of(case.params), turn(case.x), of(case.state), lengths)
        back = inner.backward(run.tape, turn(case.dy[:, :, units]), of(case.dstate))
        np.testing.assert_array_equal(found["y"][:, :, units], turn(run.y))
        for key, value in run.state.items():
            np.testing.assert_array_equal(found[f"state.{name}.{key}"], value)
        for key, value in back.params.items():
            np.testing.assert_array_equal(found[f"d{name}.{key}"], value)
        for key, value in back.state.items():
            np.testing.assert_array_equal(found[f"dstate.{name}.{key}"], value)
        found["dx"] = found["dx"] - turn(back.x)
    np.testing.assert_allclose(found["dx"], 0, atol=1e-14)


@EVERY_LENGTH
@pytest.mark.parametrize("name", ["plain", "cpu"])
def test_merges_are_of_the_same_two_outputs(lengths, name):
    target = get_target(name)
    layers = {m: Bidirectional(Recurrent("gru", 4), Recurrent("lstm", 4), m) for m in MERGES}
    case = random_layer_case(layers["concat"], lengths=lengths)
    runs = {m: layer.forward(target, *case.forward_arguments()) for m, layer in layers.items()}
    ahead, back = np.split(runs["concat"].y, 2, axis=2)
    np.testing.assert_array_equal(runs["sum"].y, ahead + back)
    np.testing.assert_array_equal(runs["mean"].y, (ahead + back) / 2)
    np.testing.assert_array_equal(runs["product"].y, ahead * back)
    dy = case.dy[:, :, :4]
    upstream = {
        "sum": (dy, dy),
        "mean": (dy / 2, dy / 2),
        "product": (dy * back, dy * ahead),
    }
    for merge, both in upstream.items():
        got = layers[merge].backward(runs[merge].tape, dy, case.dstate)
        both = np.concatenate(both, axis=2)
        want = layers["concat"].backward(runs["concat"].tape, both, case.dstate)
        np.testing.assert_array_equal(got.x, want.x)
        for key in want.params:
            np.testing.assert_array_equal(got.params[key], want.params[key])


@EVERY_LENGTH
def test_the_last_outputs_are_the_final_states(lengths):
    """A cell's y is its state: the two ends are where the directions come to an end. The
    backward direction's output at the last step is not: it has seen one input only."""
    layer = Bidirectional(Recurrent("lstm", 3), Recurrent("gru", 2))
    case = random_layer_case(layer, lengths=lengths)
    run = layer.forward(PLAIN, *case.forward_arguments())
    runs = np.full(4, True) if lengths is None else np.array(lengths) > 0
    ends = two_ends(run.y, 3, lengths)
    np.testing.assert_array_equal(ends[runs, :3], run.state["forward.h"][runs])
    np.testing.assert_array_equal(ends[runs, 3:], run.state["backward.h"][runs])
    assert not ends[~runs].any()

    last = np.full(4, 5) if lengths is None else np.array(lengths)
    for b in np.flatnonzero(last > 1):
        moved = case.x.copy()
        moved[: last[b] - 1, b] += 1  # all its inputs but the last
        other = layer.forward(PLAIN, case.params, moved, case.state, lengths)
        at = last[b] - 1, b
        np.testing.assert_array_equal(other.y[at][3:], run.y[at][3:])
        assert (two_ends(other.y, 3, lengths)[b] != ends[b]).all()


def test_inputs_of_a_direction_are_in_the_order_of_x():
    """So time stamps given to both are the same numbers; a default is counted as it reads."""
    layer = Bidirectional(Recurrent("phased_lstm", 3), Recurrent("phased_lstm", 3))
    case = random_layer_case(layer, lengths=(4, 5, 0, 1))
    run = layer.forward(PLAIN, *case.forward_arguments())
    inner = layer.directions[1]
    own = {k.removeprefix("backward."): v for k, v in case.params.items() if k.startswith("b")}
    state = {k.removeprefix("backward."): v for k, v in case.state.items() if k.startswith("b")}
    times = case.inputs["backward.timestamp"]
    alone = inner.forward(
        PLAIN, own, case.x[3::-1, :1], {k: v[:1] for k, v in state.items()}, None,
        {"timestamp": times[3::-1, :1]},
    )  # fmt: skip
    np.testing.assert_allclose(run.y[3::-1, :1, 3:], alone.y, rtol=1e-13)

    counted = layer.forward(PLAIN, case.params, case.x, case.state, case.lengths)
    steps = {"timestamp": np.arange(4.0)[:, None]}
    alone = inner.forward(
        PLAIN, own, case.x[3::-1, :1], {k: v[:1] for k, v in state.items()}, None, steps
    )
    np.testing.assert_allclose(counted.y[3::-1, :1, 3:], alone.y, rtol=1e-13)
    assert np.abs(run.y - counted.y).max() > 1e-3


def test_a_mask_for_all_steps_is_not_turned():
    """Even where there are as many sequences as steps."""
    inner = Stack([Recurrent("gru", 3), Recurrent("gru", 2)], masks="sequence")
    layer = Bidirectional(Recurrent("gru", 2), inner)
    case = random_layer_case(layer, T=4, B=4)
    run = layer.forward(PLAIN, *case.forward_arguments())
    own = {k.removeprefix("backward."): v for k, v in case.params.items() if k.startswith("b")}
    state = {k.removeprefix("backward."): v for k, v in case.state.items() if k.startswith("b")}
    masks = {"mask.0": case.inputs["backward.mask.0"]}
    alone = inner.forward(PLAIN, own, case.x[::-1], state, None, masks)
    np.testing.assert_array_equal(run.y[::-1, :, 2:], alone.y)


BAD = {
    "merge": (
        lambda: Bidirectional(Recurrent("gru", 3), Recurrent("gru", 3), "max"),
        "unknown merge 'max'; allowed: concat, sum, mean, product",
    ),
    "merge None": (
        lambda: Bidirectional(Recurrent("gru", 3), Recurrent("gru", 3), None),
        "unknown merge None",
    ),
    "forward": (lambda: Bidirectional("gru", Recurrent("gru", 3)), "forward is a str; needs a"),
    "backward": (lambda: Bidirectional(Recurrent("gru", 3), None), "backward is a NoneType"),
    "names": (
        lambda: Bidirectional(Recurrent("gru", 3), Recurrent("gru", 3)).forward(
            PLAIN, {"W": np.ones((9, 2))}, np.ones((2, 2, 2))
        ),
        "unknown parameter 'W'; allowed: forward.W, forward.R",
    ),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_directions(call, message):
    with pytest.raises(InputError, match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("merge", MERGES[1:])
def test_merges_of_unequal_widths(merge):
    layer = Bidirectional(Recurrent("gru", 3), Recurrent("gru", 2), merge)
    with pytest.raises(InputError, match=f"merge {merge} needs equal widths; forward has 3, back"):
        layer.forward(PLAIN, {}, np.ones((2, 2, 2)))
