"""Blocks of backpropagation, carried by real-time recurrent learning: the full gradient."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError
from rnnbench.gradients.hybrid import hybrid
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import chunked, full
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.params import random_case

T = 6
CASES = [("plain", cell) for cell in (*representatives(), "gru")] + [("cpu", "lstm")]
LENGTHS = {"whole": None, "ragged": np.array([6, 0, 3])}


@pytest.fixture(params=LENGTHS)
def lengths(request):
    return LENGTHS[request.param]


def arguments_of(cell, lengths, upstream=None):
    """x to inputs, of three sequences of three units."""
    case = random_case(cell, T=T, B=3, I=2, H=3, seed=3, ragged=False)
    upstream = case.dy if upstream is None else upstream
    return (case.params, case.x, upstream), (case.state, lengths, case.dstate, case.inputs)


def assert_full(got, want):
    """1e-12: the same sums in another order. What is not a sum over steps, bit for bit."""
    assert got.x is None
    np.testing.assert_array_equal(got.y, want.y)
    for name, value in want.final.items():
        np.testing.assert_array_equal(got.final[name], value)
    for found, wanted in ((got.params, want.params), (got.state, want.state)):
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert found[name].shape == value.shape and found[name].dtype == value.dtype
            atol = 1e-12 * max(np.abs(value).max(), 1)
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=atol, err_msg=name)


@pytest.mark.parametrize("k", [1, 2, 4, 6, 9])
@pytest.mark.parametrize(("target", "cell"), CASES)
def test_hybrid_is_full_for_any_block(target, cell, k, lengths):
    target = get_target(target)
    given, rest = arguments_of(cell, lengths)
    want = run(full(T), target, cell, *given, *rest)
    assert_full(hybrid(target, cell, *given, k, *rest), want)


@pytest.mark.parametrize("k", [1, 4])
def test_hybrid_of_layers(k, lengths):
    """Also of two layers with a state each, on a sequence's own input."""
    target, layer = get_target("plain"), Stack([Recurrent("lstm", 2), Recurrent("gru", 3)])
    rng = np.random.default_rng(1)
    x, dy = rng.uniform(-1, 1, (T, 3, 2)), rng.uniform(-1, 1, (T, 3, 3))
    states = {name: rng.uniform(-1, 1, one.shape) for name, one in layer.states(3, 2).items()}
    dstate = {name: rng.uniform(-1, 1, one.shape) for name, one in layer.states(3, 2).items()}
    given, rest = (layer.random_params(2), x, dy), (states, lengths, dstate)
    want = run(full(T), target, layer, *given, *rest)
    assert_full(hybrid(target, layer, *given, k, *rest), want)


def test_the_upstream_may_be_a_callable():
    visited, target = [], get_target("plain")

    def half_squares(t0, t1, y):
        visited.append((t0, t1))
        return (y**2).sum() / 2, y

    given, rest = arguments_of("gru", LENGTHS["ragged"], half_squares)
    got = hybrid(target, "gru", *given, 4, *rest)
    assert visited == [(0, 4), (4, 6)]
    assert got.loss == pytest.approx((got.y**2).sum() / 2, rel=1e-14)
    assert_full(got, run(full(T), target, "gru", *given, *rest))


def test_without_the_influence_it_is_another_gradient():
    """The checks above can fail: blocks alone."""
    target = get_target("plain")
    given, rest = arguments_of("gru", None)
    want = run(full(T), target, "gru", *given, *rest)
    blocks = run(chunked(T, 2), target, "gru", *given, *rest)
    with pytest.raises(AssertionError):
        assert_full(blocks._replace(x=None), want)


def test_one_block_is_on_a_tape_at_a_time(counting):
    target = counting(get_target("plain"))
    given, rest = arguments_of("gru", None)
    hybrid(target, "gru", *given, 2, *rest)
    assert target.most_taped == 2


@pytest.mark.parametrize("k", [0, 1.5, None])
def test_bad_blocks(k):
    given, rest = arguments_of("gru", None)
    with pytest.raises(InputError, match="k is"):
        hybrid(get_target("plain"), "gru", *given, k, *rest)


@pytest.mark.parametrize("layer", [False, True])
def test_nothing_runs_where_an_end_is_wrong(counting, layer):
    target = counting(get_target("plain"))
    params, x, dy = arguments_of("gru", None)[0]
    cell = Recurrent("gru", dy.shape[2]) if layer else "gru"
    wrong = {
        "unknown dstate": {"dstate": {"k": np.zeros((3, 5))}},
        "dstate h has shape": {"dstate": {"h": np.zeros((1, 5))}},
        "dstate h has dtype float32": {"dstate": {"h": np.zeros((len(x[0]), 5), np.float32)}},
        "dy has dtype float32": {"upstream": dy.astype(np.float32)},
        "dy has shape": {"upstream": dy[:, :, :2]},
    }
    for message, change in wrong.items():
        arguments = {"params": params, "x": x, "upstream": dy, "k": 2} | change
        with pytest.raises(InputError, match=message):
            hybrid(target, cell, **arguments)
    assert not target.forward_steps
