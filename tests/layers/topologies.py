"""Layers of every topology, for the tests of this folder (which load this file by its path)."""

from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack

T, B, I = 6, 5, 3
LENGTHS = {"whole": None, "ragged": (4, 6, 0, 1, 3), "shorter": (2, 5, 3, 1, 4)}
LAYERS = {
    "one cell": Recurrent("lstm", 5),
    "feed-forward": FeedForward((4, 5, 2), ("tanh", "sigmoid", "identity")),
    "stack": Stack([Recurrent("lstm", 5), Recurrent("gru", 3), Recurrent("lstm", 4)]),
    "residual, masks by step": Stack(
        [Recurrent("gru", 4), Recurrent("lstm", 4), Recurrent("gru", 4)], True, "step"
    ),
    "residual from x on, masks by sequence": Stack(
        [Recurrent("gru", 3), Recurrent("lstm", 4), Recurrent("gru", 4)],
        (True, False, True),
        "sequence",
    ),
    "feed-forward on top": Stack([Recurrent("lstm", 5), FeedForward((4, 2), "tanh")]),
    "feed-forward below, residual": Stack(
        [FeedForward((3,), "identity"), Recurrent("gru", 3)], (True, True), "step"
    ),
    "both ways": Bidirectional(Recurrent("lstm", 5), Recurrent("lstm", 5)),
    "both ways, different cells": Bidirectional(Recurrent("gru", 5), Recurrent("lstm", 2)),
    "sum": Bidirectional(Recurrent("gru", 4), Recurrent("lstm", 4), "sum"),
    "mean": Bidirectional(Recurrent("gru", 4), Recurrent("lstm", 4), "mean"),
    "product": Bidirectional(Recurrent("gru", 4), Recurrent("lstm", 4), "product"),
    "a stack backward": Bidirectional(
        Recurrent("lstm", 3), Stack([Recurrent("gru", 4), Recurrent("lstm", 3)], masks="step")
    ),
    "stack of both ways": Stack(
        [
            Bidirectional(Recurrent("lstm", 3), Recurrent("gru", 2)),
            Bidirectional(Recurrent("gru", 5), Recurrent("gru", 5), "product"),
            FeedForward((5,), "sigmoid"),
        ],
        (False, True, True),
        "sequence",
    ),
    "both ways of both ways": Bidirectional(
        Bidirectional(Recurrent("gru", 2), Recurrent("lstm", 3)),
        Bidirectional(Recurrent("lstm", 5), Recurrent("gru", 5), "mean"),
        "sum",
    ),
}
# In NumPy alone, for what the cells above do not have: inputs of every step, further widths,
# three states, several stages, x added to the state.
ODD_LAYERS = {
    "projections, dropped states": Stack(
        [
            Recurrent("lstm[projection=true,recurrent_dropout=true]", 5, {"P": 3}),
            Recurrent("gru_reset_before[zoneout=true]", 3),
        ],
        (True, True),
        "step",
    ),
    "a relu of a narrow context": Stack(
        [Recurrent("scrn", 4, {"S": 2}), FeedForward((6,), "relu")]
    ),
    "clocks both ways": Bidirectional(
        Recurrent("phased_lstm", 3), Stack([Recurrent("clockwork", 4), Recurrent("t_lstm", 3)])
    ),
    "three states and three stages": Bidirectional(
        Recurrent("slstm", 4), Recurrent("rhn[depth=3]", 4), "product"
    ),
}
ALL = LAYERS | ODD_LAYERS
