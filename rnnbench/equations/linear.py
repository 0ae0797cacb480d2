"""Cells that map their state linearly: gates and candidates read inputs alone.

``min_gru``, ``min_lstm`` (Feng et al. 2024); ``t_rnn``, ``t_gru``, ``t_lstm`` (Balduzzi & Ghifary
2016). No matrix reads a state, so a step is c' = f ⊙ c + u with f and u known beforehand: a scan.
An earlier x is a state of width I, x1.
"""

from rnnbench.equations.activations import sigmoid_slope, tanh_slope
from rnnbench.equations.common import mix, mix_backward
from rnnbench.equations.functions import absolute, const, exp, relu, select, sigmoid, tanh
from rnnbench.spec import BIAS, MATRIX, Cell, CellSpec, Parameter, Stage, State, Term

FENG = "Feng et al. 2024, arXiv:2410.01201"
BALDUZZI = "Balduzzi & Ghifary 2016, arXiv:1602.02218"
TYPED_NOTES = (
    "x1 is the x of the step before. τ of the paper is tanh here. Taken from the equations that "
    "RecurrentLayers.jl gives for the paper (torchrecurrent, by the same maintainer, agrees), not "
    "from its own text. The QRNN paper describes T-GRU and T-LSTM as fo- and ifo-pooling of width "
    "2 without the tanh of z, which would be another arrangement of the gates."
)
ZFO = ("z", "f", "o")


def gate_backward(d, f, one, other):
    """Of mix(f, one, other) with f = σ(a): gradients at a, one and other."""
    df, done, dother = mix_backward(d, f, one, other)
    return df * sigmoid_slope(f), done, dother


def gated_forward(candidate, gate):
    """c' = f c + (1−f) z;  h' = o c', with z = candidate(a_z), o = gate(a_o). States h, c."""

    def forward(a, s, q, p):
        z, f, o = candidate(a[0]), sigmoid(a[1]), gate(a[2])
        c = mix(f, s[1], z)
        return (o * c, c), (z, f, o)

    return forward


def gated_backward(candidate_slope, gate_slope):
    """The slopes are functions of z and o, the outputs."""

    def backward(dout, dq, s, q, p):
        z, f, o = q
        c = mix(f, s[1], z)
        da_f, dc, dz = gate_backward(dout[1] + dout[0] * o, f, s[1], z)
        da = (dz * candidate_slope(z), da_f, dout[0] * c * gate_slope(o))
        return da, (const(z, 0.0), dc), (), ()

    return backward


def identity(x):
    return x


def one(y):
    return const(y, 1.0)


def earlier_forward(a, s, q, p):
    """x1' = x, x2' = x1, …"""
    return (a[0],) + s[:-1], ()  # noqa: RUF005 (Numba has no starred tuples)


def earlier_backward(dout, dq, s, q, p):
    return (dout[0],), dout[1:] + (const(dout[0], 0.0),), (), ()  # noqa: RUF005


def earlier_x(names):
    """The stage that moves the earlier x on."""
    x = ("x",)
    return Stage(x, (Term("", "x", x, x),), saves=(), states=names, width="I")


def min_gru_forward(a, s, q, p):
    z = sigmoid(a[0])
    return (mix(z, a[1], s[0]),), (z, a[1])


def min_gru_backward(dout, dq, s, q, p):
    z, n = q
    da_z, dn, dh = gate_backward(dout[0], z, n, s[0])
    return (da_z, dn), (dh,), (), ()


def shut(a):
    """(m, v, σ(−a)), such that e^m v is 1/σ(a): neither over- nor underflows."""
    below = exp(-absolute(a))
    v = const(a, 1.0) + below
    return relu(-a), v, select(a, below, const(a, 1.0)) / v


def min_lstm_forward(a, s, q, p):
    # f/(f+i) = σ(log f − log i) = 1/i / (1/i + 1/f): no 0/0 where both gates underflow
    (m_f, v_f, shut_f), (m_i, v_i, shut_i) = shut(a[0]), shut(a[1])
    f = v_i / (v_i + exp(m_f - m_i) * v_f)
    return (mix(f, s[0], a[2]),), (f, shut_f, shut_i, a[2])


def min_lstm_backward(dout, dq, s, q, p):
    f, shut_f, shut_i, n = q
    da, dh, dn = gate_backward(dout[0], f, s[0], n)
    return (da * shut_f, -da * shut_i, dn), (dh,), (), ()


def t_rnn_forward(a, s, q, p):
    f = sigmoid(a[1])
    return (mix(f, s[0], a[0]),), (a[0], f)


def t_rnn_backward(dout, dq, s, q, p):
    z, f = q
    da_f, dh, dz = gate_backward(dout[0], f, s[0], z)
    return (dz, da_f), (dh,), (), ()


def t_gru_forward(a, s, q, p):
    z, f, o = a[0], sigmoid(a[1]), tanh(a[2])
    return (f * s[0] + z * o,), (z, f, o)


def t_gru_backward(dout, dq, s, q, p):
    z, f, o = q
    dh = dout[0]
    return (dh * o, dh * s[0] * sigmoid_slope(f), dh * z * tanh_slope(o)), (dh * f,), (), ()


def input_stage(gates, biased, states, saves, earlier=()):
    """W x + V x1 + b into slots of the gates' names; ``earlier``: (matrix, state) pairs."""
    sources = (("W", "x"), *earlier)
    terms = tuple(Term(matrix, source, gates, gates) for matrix, source in sources)
    return Stage(gates, (*terms, Term("b", "", biased, biased)), saves=saves, states=states)


def input_parameters(gates, biased, earlier=()):
    """W and those of ``earlier``, (rows, I), then b."""
    matrices = (Parameter(name, MATRIX, gates, columns="I") for name in ("W", *earlier))
    return (*matrices, Parameter("b", BIAS, biased))


def _cell(name, source, gates, forward, backward, equations, notes="", biased=None, saves=None):
    """Of state h alone."""
    biased = biased or gates
    spec = CellSpec(
        name, "linear", source, gates, (State("h"),), input_parameters(gates, biased),
        (input_stage(gates, biased, ("h",), saves or gates),),
        equations=equations, notes=notes, scan=(("h",),),
    )  # fmt: skip
    return Cell(spec, (forward,), (backward,))


def _typed(name, states, forward, backward, equations, notes):
    """Of the states, the last of them linear, and x1."""
    spec = CellSpec(
        name, "linear", BALDUZZI, ZFO, (*map(State, states), State("x1", "I")),
        input_parameters(ZFO, ZFO, ("V",)),
        (input_stage(ZFO, ZFO, states, ZFO, (("V", "x1"),)), earlier_x(("x1",))),
        equations=equations, notes=notes, scan=(("x1",), states[-1:]),
    )  # fmt: skip
    return Cell(spec, (forward, earlier_forward), (backward, earlier_backward))


CELLS = (
    _cell(
        "min_gru", FENG + ", section 3.1", ("z", "n"), min_gru_forward, min_gru_backward,
        """\
z  = σ(W_z x + b_z)
n  = W_n x + b_n
h' = (1 − z) ⊙ h + z ⊙ n""",
        "z takes the new value, unlike a gru's here. The paper's log-space version passes n and "
        "the initial state through g(x) = x + 0.5 where x ≥ 0, σ(x) where x < 0; this is the "
        "version without.",
    ),
    _cell(
        "min_lstm", FENG + ", section 3.2", ("f", "i", "n"), min_lstm_forward, min_lstm_backward,
        """\
f, i = σ(W x + b)
n    = W_n x + b_n
h'   = f/(f + i) ⊙ h + i/(f + i) ⊙ n""",
        "The normalised gates are computed as σ(log f − log i) and its complement, as in the "
        "paper's log-space version; n has no g(x) here.",
        saves=("f/(f+i)", "1-f", "1-i", "n"),
    ),
    _cell(
        "t_rnn", BALDUZZI, ("z", "f"), t_rnn_forward, t_rnn_backward,
        """\
z  = W_z x
f  = σ(W_f x + b_f)
h' = f ⊙ h + (1 − f) ⊙ z""",
        "The paper's V is the f rows of W.",
        biased=("f",),
    ),
    _typed(
        "t_gru", ("h",), t_gru_forward, t_gru_backward,
        """\
z   = W_z x + V_z x1 + b_z
f   = σ(W_f x + V_f x1 + b_f)
o   = tanh(W_o x + V_o x1 + b_o)
h'  = f ⊙ h + z ⊙ o
x1' = x""",
        TYPED_NOTES,
    ),
    _typed(
        "t_lstm", ("h", "c"), gated_forward(identity, tanh), gated_backward(one, tanh_slope),
        """\
z   = W_z x + V_z x1 + b_z
f   = σ(W_f x + V_f x1 + b_f)
o   = tanh(W_o x + V_o x1 + b_o)
c'  = f ⊙ c + (1 − f) ⊙ z
h'  = o ⊙ c'
x1' = x""",
        TYPED_NOTES,
    ),
)  # fmt: skip
