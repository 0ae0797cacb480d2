"""The cells of the reference, by name.

A cell is a class, never instantiated, with
  states                                    its state names; the first one is also the output y
  shapes(input_size, hidden_size)           dict: parameter name -> shape
  step(params, x, state)                    -> (new state, cache), x (B,I), each state (B,H)
  step_backward(params, cache, dstate)      -> (dparams, dx, dstate of the step before)
`dstate` holds the gradient of the loss with respect to each state AFTER the step; `cache` is what
the step keeps for its own backward. A new cell is one class and one line below.
"""

from .elman import ElmanRelu, ElmanTanh
from .gru import Gru, GruResetBefore, GruSimplified
from .lstm import Lstm, LstmPeephole, LstmPeepholePrevious

CELLS = {
    "elman_tanh": ElmanTanh,
    "elman_relu": ElmanRelu,
    "gru_simplified": GruSimplified,
    "gru": Gru,
    "gru_reset_before": GruResetBefore,
    "lstm": Lstm,
    "lstm_peephole": LstmPeephole,
    "lstm_peephole_previous": LstmPeepholePrevious,
}


def cell_names() -> list[str]:
    return list(CELLS)


def get_cell(name: str):
    """The cell of that name; ValueError if there is none."""
    if not isinstance(name, str) or name not in CELLS:
        raise ValueError(f"cell: {name!r} is unknown, allowed: {', '.join(CELLS)}")
    return CELLS[name]
