"""A per-step input that has no default and is not given: an error before any layer has run."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.layers.attention import Dot
from rnnbench.layers.augmented import SparseAttentive
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.decoding import Bahdanau, Luong
from rnnbench.layers.describe import layer_from
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedback import Feedback
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.layer import random_arrays
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.reversible import Reversible
from rnnbench.layers.sequence import one_step
from rnnbench.layers.stack import Stack

T, B, S, I = 5, 4, 3, 4
DROPPED = Recurrent("lstm[recurrent_dropout=true]", I)
PLAIN = Recurrent("lstm", I)
GRU = {"kind": "Recurrent", "cell": "gru", "hidden_size": 3}
LAYERS = {
    "dropout_h": DROPPED,
    "1.dropout_h": Stack([PLAIN, DROPPED], masks="step"),
    "backward.dropout_h": Bidirectional(PLAIN, DROPPED),
    "backward.1.dropout_h": Bidirectional(PLAIN, Stack([PLAIN, DROPPED])),
    "layer.dropout_h": SparseAttentive(DROPPED, Dot()),
}
PAIRS = {
    "encoder.dropout_h": EncoderDecoder(DROPPED, PLAIN),
    "decoder.dropout_h": EncoderDecoder(PLAIN, DROPPED),
    "decoder.0.dropout_h": EncoderDecoder(PLAIN, Stack([DROPPED]), {"0.h": "h"}, Bahdanau(Dot())),
    "decoder.1.dropout_h": EncoderDecoder(PLAIN, Stack([PLAIN, DROPPED]), {}, Luong(Dot(), 2)),
}


class Target:
    """Nothing may run."""


def refused(name, shape, call):
    message = f"input {name} is missing; needs an array of shape {shape}"
    with pytest.raises(InputError) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer = LAYERS[name]
    params, x = layer.random_params(I), np.zeros((T, B, I))
    for inputs in (None, {}, {name: None}):
        refused(name, (T, B, I), lambda inputs=inputs: layer.forward(
            Target(), params, x, inputs=inputs))  # fmt: skip
    refused(name, (1, B, I), lambda: one_step(layer, Target(), params, x[0]))


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    model, source, x = PAIRS[name], np.zeros((S, B, I)), np.zeros((T, B, I))
    steps = S if name.startswith("encoder") else T
    params = model.random_params(I, I)
    refused(name, (steps, B, I), lambda: model.forward(Target(), params, source, x))


def test_feedback():
    model = Feedback(DROPPED, I)
    params, first = model.random_params(), np.zeros((B, I))
    refused("layer.dropout_h", (T, B, I), lambda: model.forward(Target(), params, T, first))


def test_a_reversible_pair():
    layer = Reversible(DROPPED)
    params, x = layer.random_params(I), np.zeros((T, B, I))
    refused("dropout_h", (T, B, I), lambda: layer.forward(Target(), params, x))


def test_what_has_a_default_may_be_missing():
    """A mask between layers, a count of steps."""
    from rnnbench import get_target

    layer = Stack([PLAIN, Recurrent("phased_lstm", I), DROPPED], masks="sequence")
    inputs = random_arrays(layer.inputs(T, B, I), np.float64, 1)
    given = {"2.dropout_h": inputs["2.dropout_h"]}
    run = layer.forward(get_target("plain"), layer.random_params(I), np.ones((T, B, I)), None, None,
                        given)  # fmt: skip
    assert np.isfinite(run.y).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Bidirectional(PLAIN, PLAIN, np.ones((2, 2))), "unknown merge array"),
        (lambda: Stack([PLAIN], masks=np.ones((2, 2))), "unknown masks array"),
        (lambda: FeedForward([3], [["tanh"]]), r"unknown activation \['tanh'\]"),
        (
            lambda: layer_from(
                {"kind": "Recurrent", "cell": "gru", "hidden_size": 3, "options": 0}
            ),
            "options 0; needs a name and a mapping",
        ),
        (
            lambda: layer_from(
                {"kind": "Recurrent", "cell": "gru", "hidden_size": 3, "widths": ""}
            ),
            "widths is ''; needs a mapping",
        ),
    ],
)
def test_settings_of_another_kind(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
