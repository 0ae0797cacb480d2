"""Cells whose step is an Euler step of a differential equation, or a few of them in turn.

One matrix of the recurrence is tied to its transpose (antisymmetric_rnn, lipschitz_rnn), or the
state is the place y and the speed z of oscillators (cornn, unicornn; semi-implicit: y' sees z').
``lem`` has learned step sizes and stands in ``lem.py``. Step sizes and damping are options.

Saved: what the activation functions gave; the rest follows from the state history.
"""

from collections.abc import Callable

import numpy as np

from rnnbench.equations.common import parameters, terms
from rnnbench.equations.functions import const, sigmoid, tanh
from rnnbench.options import Definition, Option, number
from rnnbench.spec import (
    MATRIX,
    UNIT,
    Cell,
    CellSpec,
    Parameter,
    Stage,
    State,
    Term,
    Transform,
)

A = ("a",)
W, B = parameters(A, (), A)
STEP = Option("epsilon", 0.1, number(above=0.0), "step size of the Euler method", (0.75,))
DT = Option("dt", 0.1, number(above=0.0), "step size", (0.25,))


def skewed(beta: float, gamma: float) -> Transform:
    """M -> (1 − β)(M + Mᵀ) + β(M − Mᵀ) − γ I = M + (1 − 2β) Mᵀ − γ I; β = 1 is antisymmetric."""
    other = 1.0 - 2.0 * beta

    def adjoint(d):
        found = np.multiply(d.T, other, order="C")  # rows and columns mixed take ten times as long
        found += d
        return found

    def apply(m):
        found = adjoint(m)
        found[np.diag_indices(len(m))] -= gamma
        return found

    return Transform(f"M + {other!r} M' - {gamma!r} I", apply, adjoint)


def antisymmetric(epsilon: float) -> tuple[Callable, Callable]:
    """h' = h + ε tanh(a)."""

    def forward(a, s, q, p):
        n = tanh(a[0])
        return (s[0] + const(n, epsilon) * n,), (n,)

    def backward(dout, dq, s, q, p):
        n, dh = q[0], dout[0]
        return (dh * const(n, epsilon) * (const(n, 1.0) - n * n),), (dh,), (), ()

    return forward, backward


def build_antisymmetric(epsilon: float, gamma: float) -> Cell:
    forward, backward = antisymmetric(epsilon)
    spec = CellSpec(
        "antisymmetric_rnn",
        "continuous",
        "Chang et al. 2019, arXiv:1902.09689, eq. 12",
        A,
        (State("h"),),
        (W, Parameter("R", MATRIX, A, transform=skewed(1.0, gamma)), B),
        (Stage(A, terms(A, A, A), saves=("tanh(a)",), states=("h",)),),
        equations="h' = h + ε tanh(W x + (R − Rᵀ − γ I) h + b)",
        notes="R is stored whole (H·H numbers). The paper (section 3.2) remarks that its strictly"
        " upper triangle would do: only R − Rᵀ counts.",
    )
    return Cell(spec, (forward,), (backward,))


def gated_antisymmetric(epsilon: float) -> tuple[Callable, Callable]:
    """Slots z, n, and what R gives, which both gates see."""

    def forward(a, s, q, p):
        z, n = sigmoid(a[0] + a[2]), tanh(a[1] + a[2])
        return (s[0] + const(n, epsilon) * z * n,), (z, n)

    def backward(dout, dq, s, q, p):
        z, n = q
        one, dh = const(z, 1.0), dout[0] * const(z, epsilon)
        da_z, da_n = dh * n * z * (one - z), dh * z * (one - n * n)
        return (da_z, da_n, da_z + da_n), (dout[0],), (), ()

    return forward, backward


def build_gated_antisymmetric(epsilon: float, gamma: float) -> Cell:
    forward, backward = gated_antisymmetric(epsilon)
    gates, shared = ("z", "n"), ("R h",)
    into = (*terms(gates, (), gates), Term("R", "h", A, shared))
    spec = CellSpec(
        "gated_antisymmetric_rnn",
        "continuous",
        "Chang et al. 2019, arXiv:1902.09689, eq. 13",
        gates,
        (State("h"),),
        (
            *parameters(gates, (), ()),
            Parameter("R", MATRIX, A, transform=skewed(1.0, gamma)),
            *parameters((), (), gates),
        ),
        (Stage((*gates, *shared), into, saves=gates, states=("h",)),),
        equations="u = (R − Rᵀ − γ I) h\n"
        "z = σ(W_z x + u + b_z)\n"
        "n = tanh(W_n x + u + b_n)\n"
        "h' = h + ε z ⊙ n",
        notes="One matrix R serves both z and n (section 3.4).",
    )
    return Cell(spec, (forward,), (backward,))


ANTISYMMETRIC_OPTIONS = (
    STEP,
    Option("gamma", 0.01, number(), "strength of the diffusion", (0.5,)),
)


def lipschitz(epsilon: float) -> tuple[Callable, Callable]:
    """Slots a and A h."""

    def forward(a, s, q, p):
        n = tanh(a[0])
        return (s[0] + const(n, epsilon) * (a[1] + n),), (n,)

    def backward(dout, dq, s, q, p):
        n, du = q[0], dout[0] * const(q[0], epsilon)
        return (du * (const(n, 1.0) - n * n), du), (dout[0],), (), ()

    return forward, backward


def build_lipschitz(
    epsilon: float, beta_A: float, gamma_A: float, beta_W: float, gamma_W: float
) -> Cell:
    forward, backward = lipschitz(epsilon)
    slots = ("a", "A h")
    into = (*terms(A, A, A), Term("A", "h", A, ("A h",)))
    spec = CellSpec(
        "lipschitz_rnn",
        "continuous",
        "Erichson et al. 2021, arXiv:2006.12070, eqs. 1-3 and the forward Euler scheme",
        A,
        (State("h"),),
        (
            W,
            Parameter("R", MATRIX, A, transform=skewed(beta_W, gamma_W)),
            Parameter("A", MATRIX, A, transform=skewed(beta_A, gamma_A)),
            B,
        ),
        (Stage(slots, into, saves=("tanh(a)",), states=("h",)),),
        equations="S(M, β, γ) = (1 − β)(M + Mᵀ) + β(M − Mᵀ) − γ I\n"
        "a = W x + S(R, β_W, γ_W) h + b\n"
        "h' = h + ε (S(A, β_A, γ_A) h + tanh(a))",
        notes="R is the paper's W, W its U. The authors' code has one β and one γ for both"
        " matrices, multiplies A h by a factor α of default 1, and multiplies the state from the"
        " left, so that its matrices are the transposes of these.",
    )
    return Cell(spec, (forward,), (backward,))


LIPSCHITZ_OPTIONS = (
    STEP,
    *(
        option
        for m, of in (("A", "A, the linear part"), ("W", "R, the matrix inside tanh"))
        for option in (
            Option(
                f"beta_{m}",
                0.75,
                number(least=0.0, most=1.0),
                f"antisymmetric share of {of}",
                (0.25,),
            ),
            Option(f"gamma_{m}", 0.001, number(), f"damping of {of}", (0.5,)),
        )
    ),
)


def coupled_oscillators(dt: float, gamma: float, epsilon: float) -> tuple[Callable, Callable]:
    """States y and z, both seen by a."""

    def forward(a, s, q, p):
        y, z, n = s[0], s[1], tanh(a[0])
        new = z + const(n, dt) * (n - const(n, gamma) * y - const(n, epsilon) * z)
        return (y + const(n, dt) * new, new), (n,)

    def backward(dout, dq, s, q, p):
        n, step = q[0], const(q[0], dt)
        dz = dout[1] + step * dout[0]
        du = step * dz
        ds = (dout[0] - const(n, gamma) * du, dz - const(n, epsilon) * du)
        return (du * (const(n, 1.0) - n * n),), ds, (), ()

    return forward, backward


def build_cornn(dt: float, gamma: float, epsilon: float) -> Cell:
    forward, backward = coupled_oscillators(dt, gamma, epsilon)
    into = (*terms(A, A, A, of="y"), Term("Z", "z", A, A))
    spec = CellSpec(
        "cornn",
        "continuous",
        "Rusch & Mishra 2021, arXiv:2010.00951, eq. 3, explicit (n̄ = n − 1)",
        A,
        (State("y"), State("z")),
        (W, Parameter("R", MATRIX, A), Parameter("Z", MATRIX, A), B),
        (Stage(A, into, saves=("tanh(a)",), states=("y", "z")),),
        output="y",
        equations="z' = z + dt (tanh(W x + R y + Z z + b) − γ y − ε z)\ny' = y + dt z'",
        notes="R multiplies the place y, Z the speed z (the paper's W and calligraphic W). The"
        " paper also gives a form that damps z' instead of z; the authors' code is the explicit"
        " one. γ = 2.7 and ε = 4.7 are their values for sequential MNIST.",
    )
    return Cell(spec, (forward,), (backward,))


CORNN_OPTIONS = (
    DT,
    Option("gamma", 2.7, number(least=0.0), "frequency: the force −γ y", (1.5,)),
    Option("epsilon", 4.7, number(least=0.0), "damping: the force −ε z", (0.5,)),
)


def independent_oscillators(dt: float, alpha: float) -> tuple[Callable, Callable]:
    """Units w and c: each oscillator's own recurrence and clock k = dt σ(c)."""

    def forward(a, s, q, p):
        y, z, n = s[0], s[1], tanh(a[0] + p[0] * s[0])
        k = const(n, dt) * sigmoid(p[1])
        new = z - k * (n + const(n, alpha) * y)
        return (y + k * new, new), (n,)

    def backward(dout, dq, s, q, p):
        y, z, n, dy = s[0], s[1], q[0], dout[0]
        one, stiff, clock = const(n, 1.0), const(n, alpha), sigmoid(p[1])
        k, force = const(n, dt) * clock, n + stiff * y
        dz = dout[1] + k * dy
        da = -k * dz * (one - n * n)
        dk = dy * (z - k * force) - dz * force
        ds = (dy + da * p[0] - k * dz * stiff, dz)
        return (da,), ds, (), (da * y, dk * k * (one - clock))

    return forward, backward


def build_unicornn(dt: float, alpha: float) -> Cell:
    forward, backward = independent_oscillators(dt, alpha)
    spec = CellSpec(
        "unicornn",
        "continuous",
        "Rusch & Mishra 2021, arXiv:2103.05487, section 2, one layer",
        A,
        (State("y"), State("z")),
        (W, Parameter("w", UNIT, A), B, Parameter("c", UNIT, A)),
        (Stage(A, terms(A, (), A), saves=("tanh(a)",), states=("y", "z"), units=("w", "c")),),
        output="y",
        equations="k = dt σ(c)\nz' = z − k ⊙ (tanh(w ⊙ y + W x + b) + α y)\ny' = y + k ⊙ z'",
        notes="The paper's σ̂(c) = 0.5 + 0.5 tanh(c/2) is the logistic σ(c). The authors' layer"
        " leaves b to the linear map before it, which is the same.",
    )
    return Cell(spec, (forward,), (backward,))


UNICORNN_OPTIONS = (
    DT,
    Option("alpha", 1.0, number(least=0.0), "frequency: the force −α y", (0.5,)),
)

CELLS = (
    Definition("antisymmetric_rnn", build_antisymmetric, ANTISYMMETRIC_OPTIONS),
    Definition("gated_antisymmetric_rnn", build_gated_antisymmetric, ANTISYMMETRIC_OPTIONS),
    Definition("lipschitz_rnn", build_lipschitz, LIPSCHITZ_OPTIONS),
    Definition("cornn", build_cornn, CORNN_OPTIONS),
    Definition("unicornn", build_unicornn, UNICORNN_OPTIONS),
)
