"""Which networks and gradient algorithms have golden cases."""

from rnnbench.conformance.networks import NetworkProblem
from rnnbench.layers.attention import Additive, Dot, General
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.decoding import Bahdanau, InputFeeding, Luong
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedforward import FeedForward
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack


def lstm(size: int = 5) -> Recurrent:
    return Recurrent("lstm", size)


def gru(size: int = 4) -> Recurrent:
    return Recurrent("gru", size)


RAGGED = {"T": 6, "B": 4, "I": 3}, {"lengths": (3, 6, 1, 5)}
LONG = {"T": 8, "B": 3, "I": 3}, {"lengths": (8, 3, 6)}
PAIR = (
    {"T": 4, "B": 3, "I": 3, "S": 5, "J": 2},
    {"lengths": (2, 4, 3), "source_lengths": (5, 2, 4)},
)


def problems() -> list[NetworkProblem]:
    """Every case of the set."""
    both = Bidirectional(lstm(), gru())
    deep = Stack([lstm(), lstm(4)])
    mixed = Stack([gru(), Bidirectional(gru(), Recurrent("elman_tanh", 4), merge="sum"),
                   FeedForward([3], ["tanh"])], residual=[False, True, False])  # fmt: skip
    return [
        NetworkProblem("bidirectional-ragged", both, *RAGGED),
        NetworkProblem("stacked-two-layers", deep, *RAGGED),
        NetworkProblem("stacked-mixed-residual", mixed, *RAGGED),
        NetworkProblem("encoder-decoder", EncoderDecoder(lstm(), lstm()), *PAIR),
        NetworkProblem(
            "attention-bahdanau",
            EncoderDecoder(gru(), gru(), attention=Bahdanau(Additive(3))),
            *PAIR,
        ),
        NetworkProblem(
            "attention-luong", EncoderDecoder(lstm(), lstm(), attention=Luong(General(), 3)), *PAIR
        ),
        NetworkProblem(
            "attention-input-feeding",
            EncoderDecoder(gru(), gru(), attention=InputFeeding(Dot(), 3)),
            *PAIR,
        ),
        NetworkProblem("truncated-2-4", lstm(), *LONG, {"name": "truncated", "k1": 2, "k2": 4}),
        NetworkProblem("truncated-1-3", gru(), *LONG, {"name": "truncated", "k1": 1, "k2": 3}),
        NetworkProblem("chunked-3", lstm(), *LONG, {"name": "chunked", "k": 3}),
        NetworkProblem(
            "checkpointed-sqrt", lstm(), *LONG, {"name": "sqrt checkpointing", "length": 3}
        ),
        NetworkProblem(
            "checkpointed-optimal", deep, *LONG, {"name": "optimal checkpointing", "stored": 2}
        ),
    ]
