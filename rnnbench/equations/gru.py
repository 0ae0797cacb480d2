"""Gated recurrent units (Cho et al. 2014, arXiv:1406.1078, eqs. 5-8).

``gru``, reset after the product (the form of cuDNN, PyTorch, Keras):
    r, z = σ(W x + R h + b)
    n    = tanh(W_n x + b_n + r ⊙ (R_n h + b_Rn))
    h'   = (1 − z) ⊙ n + z ⊙ h                     3g + H parameters
``gru_reset_before`` (Cho 2014, version 3, eq. 8): n = tanh(W_n x + R_n (r ⊙ h) + b_n); 3g.
``gru_simplified``, no reset gate: n = tanh(W_n x + R_n h + b_n), gates z, n; 2g.

z keeps the OLD state (Cho 2014 eq. 7). Gate order: r, z, n. State: h. g = H(I+H+1).
Saved: the gates, and R_n h + b_Rn for ``gru``.
"""

from rnnbench.equations.functions import const, sigmoid, tanh
from rnnbench.spec import BIAS, MATRIX, Cell, CellSpec, Parameter, Stage, State, Term

SOURCE = "Cho et al. 2014, arXiv:1406.1078, eqs. 5-8"
RZN, ZN = ("r", "z", "n"), ("z", "n")


def parameters(gates):
    return (
        Parameter("W", MATRIX, gates, columns="I"),
        Parameter("R", MATRIX, gates),
        Parameter("b", BIAS, gates),
    )


def update(n, z, h):
    """h' = (1−z) n + z h."""
    return (const(z, 1.0) - z) * n + z * h


def update_backward(dh, n, z, h):
    """Gradients at a_n and a_z, and the direct one at h."""
    one = const(z, 1.0)
    return dh * (one - z) * (one - n * n), dh * (h - n) * z * (one - z), dh * z


def after_forward(a, s, q, p):
    nx, r, z, nh = a[0], sigmoid(a[1]), sigmoid(a[2]), a[3]
    n = tanh(nx + r * nh)
    return (update(n, z, s[0]),), (r, z, n, nh)


def after_backward(dout, dq, s, q, p):
    r, z, n, nh = q
    dn, dz, dh = update_backward(dout[0], n, z, s[0])
    return (dn, dn * nh * r * (const(r, 1.0) - r), dz, dn * r), (dh,), (), ()


def gates_forward(a, s, q, p):
    r, z = sigmoid(a[0]), sigmoid(a[1])
    return (r * s[0],), (r, z)


def gates_backward(dout, dq, s, q, p):
    r, z = q
    one = const(r, 1.0)
    dr = dq[0] + dout[0] * s[0]
    return (dr * r * (one - r), dq[1] * z * (one - z)), (dout[0] * r,), (), ()


def candidate_forward(a, s, q, p):
    n = tanh(a[0])
    return (update(n, q[1], s[0]),), (n,)


def candidate_backward(dout, dq, s, q, p):
    z, n = q[1], q[2]
    one, dh = const(z, 1.0), dout[0]
    da = dh * (one - z) * (one - n * n)
    return (da,), (dh * z,), (const(z, 0.0), dh * (s[0] - n)), ()


def simplified_forward(a, s, q, p):
    z, n = sigmoid(a[0]), tanh(a[1])
    return (update(n, z, s[0]),), (z, n)


def simplified_backward(dout, dq, s, q, p):
    z, n = q
    dn, dz, dh = update_backward(dout[0], n, z, s[0])
    return (dz, dn), (dh,), (), ()


AFTER = Stage(
    # The candidate's two products stay apart. This order keeps each matrix's slots adjacent.
    slots=("n_x", "r", "z", "n_h"),
    terms=(
        Term("W", "x", ("n", "r", "z"), ("n_x", "r", "z")),
        Term("R", "h", ("r", "z", "n"), ("r", "z", "n_h")),
        Term("b", "", ("n", "r", "z"), ("n_x", "r", "z")),
        Term("b_Rn", "", ("n",), ("n_h",)),
    ),
    saves=("r", "z", "n", "n_h"),
    states=("h",),
)
BEFORE_GATES = Stage(
    slots=("r", "z"),
    terms=tuple(Term(p, s, ("r", "z"), ("r", "z")) for p, s in (("W", "x"), ("R", "h"), ("b", ""))),
    saves=("r", "z"),
    products=("r*h",),
)
BEFORE_CANDIDATE = Stage(
    slots=("n",),
    terms=tuple(Term(p, s, ("n",), ("n",)) for p, s in (("W", "x"), ("R", "r*h"), ("b", ""))),
    saves=("n",),
    states=("h",),
)
SIMPLIFIED = Stage(
    slots=ZN,
    terms=tuple(Term(p, s, ZN, ZN) for p, s in (("W", "x"), ("R", "h"), ("b", ""))),
    saves=ZN,
    states=("h",),
)


def _cell(name, gates, params, stages, forward, backward):
    spec = CellSpec(name, "gru", SOURCE, gates, (State("h"),), params, stages)
    return Cell(spec, forward, backward)


CELLS = (
    _cell(
        "gru",
        RZN,
        (*parameters(RZN), Parameter("b_Rn", BIAS, ("n",))),
        (AFTER,),
        (after_forward,),
        (after_backward,),
    ),
    _cell(
        "gru_reset_before",
        RZN,
        parameters(RZN),
        (BEFORE_GATES, BEFORE_CANDIDATE),
        (gates_forward, candidate_forward),
        (gates_backward, candidate_backward),
    ),
    _cell(
        "gru_simplified",
        ZN,
        parameters(ZN),
        (SIMPLIFIED,),
        (simplified_forward,),
        (simplified_backward,),
    ),
)
