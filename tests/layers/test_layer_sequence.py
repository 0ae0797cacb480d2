"""Whole sequences: reversal, many-to-one, one-to-one, and the identities between them."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.sequence import (
    last_step,
    last_step_backward,
    one_step,
    one_step_backward,
    reversal,
    reversed_in_time,
    two_ends,
    two_ends_backward,
)
from rnnbench.layers.stack import Stack

PLAIN = get_target("plain")
T, B, W = 5, 4, 3
LENGTHS = {"whole": None, "ragged": np.array([4, 5, 0, 1])}
EVERY_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@EVERY_LENGTH
@pytest.mark.parametrize("shape", [(T, B, W), (T, B)])
def test_reversal_within_each_length(lengths, shape):
    values, places = numbers(*shape), reversal(T, lengths)
    got = reversed_in_time(values, places)
    for b, n in enumerate(LENGTHS["ragged"] * 0 + T if lengths is None else lengths):
        np.testing.assert_array_equal(got[:n, b], values[:n, b][::-1])
        np.testing.assert_array_equal(got[n:, b], values[n:, b])
    np.testing.assert_array_equal(reversed_in_time(got, places), values)
    part = values[..., 1:]  # of some units: a view with gaps
    if part.ndim == 3:
        np.testing.assert_array_equal(reversed_in_time(part, places), got[..., 1:])


@EVERY_LENGTH
@pytest.mark.parametrize("ends", [False, True], ids=["last step", "two ends"])
def test_one_output_a_sequence_and_its_gradient(ends, lengths):
    """Which step it is, and ⟨d, take(v)⟩ = ⟨take'(d), v⟩; NaN in padding does not matter."""
    y, d = numbers(T, B, W), numbers(B, W, seed=1)
    take = (lambda v: two_ends(v, 2, lengths)) if ends else (lambda v: last_step(v, lengths))
    got = take(y)
    for b, n in enumerate([T] * B if lengths is None else lengths):
        want = y[n - 1, b].copy() if n else np.zeros(W)
        if ends and n:
            want[2:] = y[0, b, 2:]
        np.testing.assert_array_equal(got[b], want)
    back = two_ends_backward(d, T, 2, lengths) if ends else last_step_backward(d, T, lengths)
    assert back.shape == y.shape and np.count_nonzero(back) == np.count_nonzero(got)
    assert (back * y).sum() == pytest.approx((d * got).sum(), rel=1e-14)
    if lengths is not None:
        y[np.arange(T)[:, None] >= lengths] = np.nan
        np.testing.assert_array_equal(take(y), got)
        d[lengths == 0] = np.nan
        same = two_ends_backward(d, T, 2, lengths) if ends else last_step_backward(d, T, lengths)
        np.testing.assert_array_equal(same, back)


@EVERY_LENGTH
@pytest.mark.parametrize(
    "layer",
    [
        Recurrent("lstm", 3),
        Stack([Recurrent("gru", 4), FeedForward((3,))]),
        Bidirectional(Recurrent("gru", 2), Recurrent("lstm", 2)),
    ],
    ids=["cell", "stack", "both ways"],
)
def test_many_to_one_is_many_to_many_with_one_hot_dy(layer, lengths):
    """Bit for bit; and the loss's derivative along a direction agrees with differences of it."""
    case = random_layer_case(layer, lengths=lengths)
    run = layer.forward(PLAIN, *case.forward_arguments())
    width = run.y.shape[2]
    weight = numbers(B, width, seed=3)
    dy = last_step_backward(weight, T, lengths)
    hot = np.zeros_like(dy)
    for b, n in enumerate([T] * B if lengths is None else lengths):
        if n:
            hot[n - 1, b] = weight[b]
    one, many = layer.backward(run.tape, dy), layer.backward(run.tape, hot)
    np.testing.assert_array_equal(one.x, many.x)
    for name in one.params:
        np.testing.assert_array_equal(one.params[name], many.params[name])

    along = numbers(*case.x.shape, seed=4)

    def loss(e):
        y = layer.forward(PLAIN, case.params, case.x + e * along, case.state, lengths).y
        return (weight * last_step(y, lengths)).sum()

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert (one.x * along).sum() == pytest.approx(slope, rel=1e-7, abs=1e-8)


@EVERY_LENGTH
def test_the_last_output_is_the_final_state(lengths):
    """So the gradient at the last output, through y, is the same at the final state."""
    layer = Recurrent("lstm", 3)
    case = random_layer_case(layer, lengths=lengths)
    run = layer.forward(PLAIN, *case.forward_arguments())
    runs = np.full(B, True) if lengths is None else lengths > 0
    np.testing.assert_array_equal(last_step(run.y, lengths)[runs], run.state["h"][runs])
    d = numbers(B, 3, seed=2) * runs[:, None]
    by_y = layer.backward(run.tape, last_step_backward(d, T, lengths))
    by_state = layer.backward(run.tape, None, {"h": d})
    np.testing.assert_allclose(by_y.x, by_state.x, rtol=1e-13, atol=1e-15)
    for name in by_y.params:
        np.testing.assert_allclose(by_y.params[name], by_state.params[name], rtol=1e-12, atol=1e-14)


def test_single_steps_with_the_state_carried_are_the_sequence():
    """One-to-one T times, and back through every step: the gradients of the whole."""
    layer = Stack(
        [Recurrent("lstm[recurrent_dropout=true]", 4), Recurrent("gru", 3), FeedForward((2,))],
        masks="step",
    )
    case = random_layer_case(layer)
    whole = layer.forward(PLAIN, *case.forward_arguments())
    want = layer.backward(whole.tape, case.dy, case.dstate)
    state, steps = case.state, []
    for t in range(T):
        inputs = {name: v[t] for name, v in case.inputs.items()}
        steps.append(one_step(layer, PLAIN, case.params, case.x[t], state, inputs))
        state = steps[t].state
        np.testing.assert_allclose(steps[t].y, whole.y[t], rtol=1e-13, atol=1e-15)
    dstate, total = case.dstate, {}
    for t in reversed(range(T)):
        back = one_step_backward(layer, steps[t].tape, case.dy[t], dstate)
        dstate = back.state
        np.testing.assert_allclose(back.x, want.x[t], rtol=1e-11, atol=1e-13)
        total = {name: g + total.get(name, 0) for name, g in back.params.items()}
    for name in total:
        np.testing.assert_allclose(total[name], want.params[name], rtol=1e-11, atol=1e-13)
    for name in dstate:
        np.testing.assert_allclose(dstate[name], want.state[name], rtol=1e-11, atol=1e-13)


def test_a_mask_for_all_steps_serves_one_step_as_it_is():
    layer = Stack([Recurrent("gru", 3), Recurrent("gru", 2)], masks="sequence")
    case = random_layer_case(layer, T=1)
    step = one_step(layer, PLAIN, case.params, case.x[0], case.state, case.inputs)
    whole = layer.forward(PLAIN, *case.forward_arguments())
    np.testing.assert_array_equal(step.y, whole.y[0])


Y = np.ones((T, B, W))
BAD = {
    "y 2-D": (lambda: last_step(Y[0]), "y has 2 dimensions"),
    "y empty": (lambda: last_step(Y[:0]), "y has shape"),
    "lengths": (lambda: last_step(Y, [T + 1] * B), "a length is 6"),
    "split": (lambda: two_ends(Y, W), "forward_size is 3; the outputs have 3 units for both ways"),
    "split 0": (lambda: two_ends(Y, 0), "forward_size is 0"),
    "split back": (lambda: two_ends_backward(Y[0], T, 4), "forward_size is 4"),
    "T": (lambda: last_step_backward(Y[0], 0), "T is 0"),
    "gradient": (lambda: last_step_backward(Y, T), "dlast has 3 dimensions"),
    "lengths back": (lambda: last_step_backward(Y[0], T, [1]), "lengths have shape"),
    "step": (lambda: one_step(Recurrent("gru", 3), PLAIN, {}, Y), "x has 3 dimensions"),
    "step's input": (
        lambda: one_step(Recurrent("gru", 3), PLAIN, {}, Y[0], None, {"mask": Y[0]}),
        "parameter W is missing",
    ),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as failure:
        call()
    assert "\n" not in str(failure.value)
