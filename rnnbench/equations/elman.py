"""Elman networks (Elman 1990, "Finding Structure in Time", Cognitive Science 14:179-211).

    a  = W x + R h + b
    h' = φ(a)          φ = tanh (elman_tanh) or relu (elman_relu)

Gate order: a. State: h. Saved: h' (both derivatives are functions of the output:
1 − h'², and 1 where h' > 0 else 0, so relu'(0) = 0). Parameters: g = H(I+H+1).
"""

from rnnbench.equations.functions import const, relu, step, tanh
from rnnbench.spec import BIAS, MATRIX, Cell, CellSpec, Parameter, Stage, State, Term

GATES = ("a",)
PARAMETERS = (
    Parameter("W", MATRIX, GATES, columns="I"),
    Parameter("R", MATRIX, GATES),
    Parameter("b", BIAS, GATES),
)
STAGE = Stage(
    slots=GATES,
    terms=(Term("W", "x", GATES, GATES), Term("R", "h", GATES, GATES), Term("b", "", GATES, GATES)),
    saves=("h'",),
    states=("h",),
)


def tanh_forward(a, s, q, p):
    h = tanh(a[0])
    return (h,), (h,)


def tanh_backward(dout, dq, s, q, p):
    h = q[0]
    return (dout[0] * (const(h, 1.0) - h * h),), (const(h, 0.0),), (), ()


def relu_forward(a, s, q, p):
    h = relu(a[0])
    return (h,), (h,)


def relu_backward(dout, dq, s, q, p):
    h = q[0]
    return (dout[0] * step(h),), (const(h, 0.0),), (), ()


def _cell(name, forward, backward):
    spec = CellSpec(name, "elman", "Elman 1990", GATES, (State("h"),), PARAMETERS, (STAGE,))
    return Cell(spec, (forward,), (backward,))


CELLS = (
    _cell("elman_tanh", tanh_forward, tanh_backward),
    _cell("elman_relu", relu_forward, relu_backward),
)
