"""Long short-term memory with a forget gate.

``lstm`` (Gers, Schmidhuber & Cummins 2000, "Learning to Forget", Neural Computation 12:2451-2471):
    i, f, o = σ(W x + R h + b);  g = tanh(W_g x + R_g h + b_g)
    c' = f ⊙ c + i ⊙ g;  h' = o ⊙ tanh(c')                                   4g parameters
``lstm_peephole`` (Gers, Schraudolph & Schmidhuber 2002, JMLR 3:115-143; Greff et al. 2015,
    arXiv:1503.04069, section 2): i, f also + p ⊙ c, and o also + p_o ⊙ c' (the NEW cell state)
``lstm_peephole_previous``: every gate, o too, reads the OLD cell state c.     4g + 3H parameters

Gate order: i, f, g, o; peepholes p: i, f, o. States: h, c. g = H(I+H+1).
Saved: i, f, g, o, tanh(c'); c and c' are in the state history (the peephole cell saves c' too).
"""

from rnnbench.equations.functions import const, sigmoid, tanh
from rnnbench.spec import (
    BIAS,
    MATRIX,
    UNIT,
    Cell,
    CellSpec,
    Parameter,
    Reduction,
    Stage,
    State,
    Term,
)

GATES = ("i", "f", "g", "o")
PARAMETERS = (
    Parameter("W", MATRIX, GATES, columns="I"),
    Parameter("R", MATRIX, GATES),
    Parameter("b", BIAS, GATES),
)
PEEPHOLE = Parameter("p", UNIT, ("i", "f", "o"))
TERMS = tuple(Term(p, s, GATES, GATES) for p, s in (("W", "x"), ("R", "h"), ("b", "")))
SAVES = (*GATES, "tanh(c')")


def memory(a_i, a_f, a_g, c):
    """Input and forget gates, candidate, new cell state and its tanh."""
    i, f, g = sigmoid(a_i), sigmoid(a_f), tanh(a_g)
    new = f * c + i * g
    return i, f, g, new, tanh(new)


def memory_backward(dc, i, f, g, c):
    """From the gradient at c': those at a_i, a_f, a_g, and the direct one at c."""
    one = const(i, 1.0)
    return dc * g * i * (one - i), dc * c * f * (one - f), dc * i * (one - g * g), dc * f


def through_output(dh, o, tc):
    """From the gradient at h': those at c' (through the squashing) and at a_o."""
    one = const(o, 1.0)
    return dh * o * (one - tc * tc), dh * tc * o * (one - o)


def lstm_forward(a, s, q, p):
    i, f, g, new, tc = memory(a[0], a[1], a[2], s[1])
    o = sigmoid(a[3])
    return (o * tc, new), (i, f, g, o, tc)


def lstm_backward(dout, dq, s, q, p):
    i, f, g, o, tc = q
    dc, da_o = through_output(dout[0], o, tc)
    da_i, da_f, da_g, dc_old = memory_backward(dout[1] + dc, i, f, g, s[1])
    return (da_i, da_f, da_g, da_o), (const(i, 0.0), dc_old), (), ()


def peephole_forward(a, s, q, p):
    c = s[1]
    i, f, g, new, tc = memory(a[0] + p[0] * c, a[1] + p[1] * c, a[2], c)
    o = sigmoid(a[3] + p[2] * new)
    return (o * tc, new), (i, f, g, o, tc, new)


def peephole_backward(dout, dq, s, q, p):
    i, f, g, o, tc, new = q
    c = s[1]
    dc, da_o = through_output(dout[0], o, tc)
    da_i, da_f, da_g, dc_old = memory_backward(dout[1] + dc + da_o * p[2], i, f, g, c)
    ds = (const(i, 0.0), dc_old + da_i * p[0] + da_f * p[1])
    return (da_i, da_f, da_g, da_o), ds, (), (da_i * c, da_f * c, da_o * new)


def previous_forward(a, s, q, p):
    c = s[1]
    i, f, g, new, tc = memory(a[0] + p[0] * c, a[1] + p[1] * c, a[2], c)
    o = sigmoid(a[3] + p[2] * c)
    return (o * tc, new), (i, f, g, o, tc)


def previous_backward(dout, dq, s, q, p):
    i, f, g, o, tc = q
    c = s[1]
    dc, da_o = through_output(dout[0], o, tc)
    da_i, da_f, da_g, dc_old = memory_backward(dout[1] + dc, i, f, g, c)
    ds = (const(i, 0.0), dc_old + da_i * p[0] + da_f * p[1] + da_o * p[2])
    return (da_i, da_f, da_g, da_o), ds, (), (da_i * c, da_f * c, da_o * c)


def _cell(name, source, forward, backward, parameters=PARAMETERS, saves=SAVES, units=()):
    spec = CellSpec(
        name,
        "lstm",
        source,
        GATES,
        (State("h"), State("c")),
        parameters,
        (Stage(slots=GATES, terms=TERMS, saves=saves, states=("h", "c"), units=units),),
        reductions=tuple(Reduction((unit,), "lstm") for unit in units),
    )
    return Cell(spec, (forward,), (backward,))


CELLS = (
    _cell("lstm", "Gers et al. 2000", lstm_forward, lstm_backward),
    _cell(
        "lstm_peephole",
        "Gers et al. 2002; Greff et al. 2015, arXiv:1503.04069, section 2",
        peephole_forward,
        peephole_backward,
        (*PARAMETERS, PEEPHOLE),
        (*SAVES, "c'"),
        ("p",),
    ),
    _cell(
        "lstm_peephole_previous",
        "course notes: every gate reads the previous cell state",
        previous_forward,
        previous_backward,
        (*PARAMETERS, PEEPHOLE),
        SAVES,
        ("p",),
    ),
)
