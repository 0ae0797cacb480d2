"""Feed-forward stacks on every step: the definition, padding, NaN, big sums."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers.case import random_layer_case, run_layer_case
from rnnbench.layers.feedforward import ACTIVATIONS, FeedForward

TARGETS = {name: get_target(name) for name in ("plain", "reference", "cpu")}
EVERY_ACTIVATION = pytest.mark.parametrize("name", ACTIVATIONS)
DEFINITIONS = {
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: z if z > 0 else 0.0,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}


@EVERY_ACTIVATION
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("lengths", [None, (5, 0, 2, 1)], ids=["whole", "ragged"])
def test_against_the_definition(name, target, lengths):
    """One step, one unit at a time."""
    layer = FeedForward((4, 2), (name, "tanh"))
    case = random_layer_case(layer, lengths=lengths)
    y = layer.forward(target, *case.forward_arguments()).y
    for t in range(5):
        for b, n in enumerate(lengths or [5] * 4):
            v = case.x[t, b]
            for l, function in enumerate((name, "tanh")):
                W, bias = case.params[f"{l}.W"], case.params[f"{l}.b"]
                v = np.array([DEFINITIONS[function](z) for z in W @ v + bias])
            np.testing.assert_allclose(y[t, b], v if t < n else 0 * v, rtol=1e-13, atol=1e-15)


@EVERY_ACTIVATION
def test_slopes_by_central_differences(name):
    """In terms of the value; relu away from its kink."""
    z = np.array([-3.0, -0.7, -0.1, 0.2, 0.9, 2.5])
    value, slope = ACTIVATIONS[name]
    want = (value(z + 1e-6) - value(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(value(z)) * np.ones(6), want, rtol=1e-8, atol=1e-9)


def test_relu_at_its_kink_and_nan():
    value, slope = ACTIVATIONS["relu"]
    z = np.array([-1.0, 0.0, 2.0, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(value(z), [0, 0, 2, np.nan, np.inf])
    np.testing.assert_array_equal(slope(value(z)), [0, 0, 1, np.nan, 1])


@EVERY_ACTIVATION
def test_nan_in_a_valid_step_reaches_its_output_and_gradients(name):
    layer = FeedForward((4,), name)
    case = random_layer_case(layer, lengths=(5, 0, 2, 1))
    case.x[1, 2, 0] = np.nan
    found = run_layer_case(case, TARGETS["plain"])
    assert np.isnan(found["y"][1, 2]).all() and np.isnan(found["y"]).sum() == 4
    assert np.isnan(found["d0.W"][:, 0]).all()
    if name != "identity":
        assert np.isnan(found["dx"][1, 2]).all() and np.isnan(found["dx"]).sum() == 3


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(target, dtype):
    case = random_layer_case(FeedForward((4, 3), ("relu", "sigmoid")), dtype=dtype)
    assert {a.dtype for a in run_layer_case(case, target).values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_where_every_sequence_is_empty(target):
    case = random_layer_case(FeedForward((4, 3)), lengths=(0, 0, 0, 0))
    found = run_layer_case(case, target)
    assert not any(array.any() for array in found.values())
    assert found["y"].shape == (5, 4, 3) and found["d0.W"].shape == (4, 3)


def test_a_bias_gradient_of_many_rows_keeps_float32():
    """A sum of 30 000 ones plus small ones: in float32 alone it would be off by 1e-4."""
    layer = FeedForward((1,), "identity")
    case = random_layer_case(layer, T=3000, B=10, I=1, dtype=np.float32)
    run = layer.forward(TARGETS["plain"], *case.forward_arguments())
    dy = np.where(case.dy > 0, 1, 1e-3).astype(np.float32)
    got = layer.backward(run.tape, dy).params["0.b"][0]
    assert got == pytest.approx(dy.astype(np.float64).sum(), rel=1e-7)


BAD = {
    "no sizes": (lambda: FeedForward([]), r"sizes is \[\]; needs a list of at least one size"),
    "a number": (lambda: FeedForward(3), "sizes is 3; needs a list"),
    "zero": (lambda: FeedForward([3, 0]), "size 1 is 0; needs a whole number of at least 1"),
    "unknown": (
        lambda: FeedForward([3], "gelu"),
        "unknown activation 'gelu'; allowed: tanh, relu, sigmoid, identity",
    ),
    "how many": (
        lambda: FeedForward([3], ["tanh", "relu"]),
        "activation is .* needs a name, or one for each of 1 layers",
    ),
    "state": (
        lambda: FeedForward([3]).forward(
            TARGETS["plain"],
            FeedForward([3]).random_params(2),
            np.ones((2, 2, 2)),
            {"h": np.ones((2, 3))},
        ),
        "unknown state 'h'; allowed: none",
    ),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as failure:
        call()
    assert "\n" not in str(failure.value)
