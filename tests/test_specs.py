"""The spec is wide enough: the awkward cells of the literature fit it, as data alone.

Written before the first kernel, kept as a test. None is registered; two of them (other widths, a
product of products, a scalar) also run, to show that the drivers need no edit for them.
"""

import numpy as np
import pytest

from rnnbench.cpu.plan import make_plan
from rnnbench.equations.functions import const, sigmoid, tanh
from rnnbench.params import random_case
from rnnbench.spec import BIAS, MATRIX, SCALAR, UNIT, Cell, CellSpec, Parameter, Stage, State, Term
from rnnbench.target import get_target


def matrix(name, gates, columns="H", width="H", transform=""):
    return Parameter(name, MATRIX, tuple(gates.split()), columns, width, transform)


def bias(name, gates, width="H"):
    return Parameter(name, BIAS, tuple(gates.split()), width=width)


def unit(name, gates):
    return Parameter(name, UNIT, tuple(gates.split()))


def scalar(name):
    return Parameter(name, SCALAR, (name,))


def term(parameter, source, gates, slots=None):
    gates = tuple(gates.split())
    return Term(parameter, source, gates, gates if slots is None else tuple(slots.split()))


def spec(name, source, gates, states, parameters, *stages, output="h"):
    return CellSpec(
        name,
        name,
        source,
        tuple(gates.split()),
        tuple(State(*s.split(":")) for s in states.split()),
        parameters,
        stages,
        output,
    )


def affine(gates, source="h"):
    """W x + R source + b into slots of the gates' names."""
    return term("W", "x", gates), term("R", source, gates), term("b", "", gates)


def full(gates, transform=""):
    return matrix("W", gates, "I"), matrix("R", gates, transform=transform), bias("b", gates)


IFGO = "i f g o"

LSTM_FGR = spec(
    "lstm_fgr", "1503.04069", IFGO, "h c i f o",
    (*full(IFGO), unit("p", "i f o"), *(matrix(f"Q_{k}", "i f o") for k in "ifo")),
    Stage(
        tuple(IFGO.split()),
        (*affine(IFGO), *(term(f"Q_{k}", k, "i f o") for k in "ifo")),
        saves=("i", "f", "g", "o", "tanh(c')", "c'"), states=("h", "c", "i", "f", "o"),
        units=("p",),
    ),
)  # fmt: skip
MUT3 = spec(
    "mut3", "Jozefowicz et al. 2015", "z r h", "h", full("z r h"),
    Stage((), (), saves=("tanh(h)",), products=("tanh(h)",)),
    Stage(
        ("z", "r"),
        (
            term("W", "x", "z r"), term("R", "tanh(h)", "z"), term("R", "h", "r"),
            term("b", "", "z r"),
        ),
        saves=("z", "r"), products=("r*h",),
    ),
    Stage(("h",), affine("h", "r*h"), saves=("n",), states=("h",)),
)  # fmt: skip
MINIMAL_RNN = spec(
    "minimal_rnn", "1711.06788", "z u", "h",
    (matrix("W", "z", "I"), matrix("R", "u"), matrix("Z", "u"), bias("b", "z u")),
    Stage(("z",), (term("W", "x", "z"), term("b", "", "z")), saves=("z",), products=("z",)),
    Stage(
        ("u",), (term("R", "h", "u"), term("Z", "z", "u"), term("b", "", "u")),
        saves=("u",), states=("h",),
    ),
)  # fmt: skip
CORNN = spec(
    "cornn", "2010.00951", "a", "y z",
    (
        matrix("W", "a", "I"), matrix("R", "a"), matrix("Z", "a"), bias("b", "a"),
        scalar("dt"), scalar("gamma"), scalar("epsilon"),
    ),
    Stage(
        ("a",), (*affine("a", "y"), term("Z", "z", "a")), saves=("tanh(a)",), states=("y", "z"),
        units=("dt", "gamma", "epsilon"),
    ),
    output="y",
)  # fmt: skip
# An earlier x is a state of width I that takes x as it is.
EARLIER_X = Stage(("x",), (Term("", "x", ("x",), ("x",)),), saves=(), states=("x1",), width="I")
T_LSTM = spec(
    "t_lstm", "1602.02218", "z f o", "h c x1:I",
    (matrix("W", "z f o", "I"), matrix("V", "f o", "I"), bias("b", "f o")),
    Stage(
        ("z", "f", "o"), (term("W", "x", "z f o"), term("V", "x1", "f o"), term("b", "", "f o")),
        saves=("z", "f", "o"), states=("h", "c"),
    ),
    EARLIER_X,
)  # fmt: skip
QRNN = spec(
    "qrnn", "1611.01576, kernel width 2", "z f o", "h c x1:I",
    (matrix("W", "z f o", "I"), matrix("V", "z f o", "I"), bias("b", "z f o")),
    Stage(
        ("z", "f", "o"),
        (term("W", "x", "z f o"), term("V", "x1", "z f o"), term("b", "", "z f o")),
        saves=("z", "f", "o"), states=("h", "c"),
    ),
    EARLIER_X,
)  # fmt: skip
SCRN = spec(
    "scrn", "1412.7753", "s h", "h s:S",
    (
        matrix("B", "s", "I", width="S"), matrix("W", "h", "I"), matrix("R", "h"),
        matrix("P", "h", "S"), scalar("alpha"),
    ),
    Stage(
        ("s",), (term("B", "x", "s"),), saves=("B x",), states=("s",), units=("alpha",), width="S"
    ),
    Stage(
        ("h",), (term("W", "x", "h"), term("R", "h", "h"), term("P", "s'", "h")),
        saves=("h'",), states=("h",),
    ),
)  # fmt: skip
LSTM_PROJECTED = spec(
    "lstm_projected", "1402.1128", IFGO, "h:P c",
    (
        matrix("W", IFGO, "I"), matrix("R", IFGO, "P"), bias("b", IFGO),
        matrix("P", "h", "H", width="P"),
    ),
    Stage(
        tuple(IFGO.split()), affine(IFGO), saves=("i", "f", "g", "o", "tanh(c')"),
        products=("m",), states=("c",),
    ),
    Stage(("h",), (term("P", "m", "h"),), saves=(), states=("h",), width="P"),
)  # fmt: skip
CLOCKWORK = spec(
    "clockwork", "1402.3511", "a", "h", (*full("a", "block_upper"), unit("period", "a")),
    Stage(("a",), affine("a"), saves=("h'",), states=("h",), units=("period",), inputs=("step",)),
)  # fmt: skip
PHASED_LSTM = spec(
    "phased_lstm", "1610.09513", IFGO, "h c",
    (*full(IFGO), unit("p", "i f o"), unit("clock", "tau shift open")),
    Stage(
        tuple(IFGO.split()), affine(IFGO), saves=("i", "f", "g", "o", "k", "tanh(c')", "c'"),
        states=("h", "c"), units=("p", "clock"), inputs=("timestamp",),
    ),
)  # fmt: skip
FAST_RNN = spec(
    "fast_rnn", "1901.02358", "a", "h", (*full("a"), scalar("alpha"), scalar("beta")),
    Stage(("a",), affine("a"), saves=("tanh(a)",), states=("h",), units=("alpha", "beta")),
)  # fmt: skip
ANTISYMMETRIC_RNN = spec(
    "antisymmetric_rnn", "1902.09689", "a", "h", full("a", "antisymmetric"),
    Stage(("a",), affine("a"), saves=("tanh(a)",), states=("h",)),
)  # fmt: skip

# name -> (spec, parameters as a function of I and H with S = 3, P = 5; what drivers still lack)
AWKWARD = {
    s.name: (s, count, lacking)
    for s, count, lacking in (
        (LSTM_FGR, lambda I, H, g: 4 * g + 3 * H + 9 * H * H, ""),
        (MUT3, lambda I, H, g: 3 * g, ""),
        (MINIMAL_RNN, lambda I, H, g: H * I + 2 * H * H + 2 * H, ""),
        (CORNN, lambda I, H, g: g + H * H + 3, ""),
        (T_LSTM, lambda I, H, g: 5 * H * I + 2 * H, "identity"),
        (QRNN, lambda I, H, g: 6 * H * I + 3 * H, "identity"),
        (SCRN, lambda I, H, g: 3 * I + H * I + H * H + 3 * H + 1, ""),
        (LSTM_PROJECTED, lambda I, H, g: 4 * H * (I + 5 + 1) + 5 * H, ""),
        (CLOCKWORK, lambda I, H, g: g + H, "inputs"),
        (PHASED_LSTM, lambda I, H, g: 4 * g + 6 * H, "inputs"),
        (FAST_RNN, lambda I, H, g: g + 2, ""),
        (ANTISYMMETRIC_RNN, lambda I, H, g: g, "transform"),
    )
}
WIDTHS = {"S": 3, "P": 5}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize(("I", "H"), [(4, 7), (11, 2)])
def test_awkward_specs_fit_and_count(name, I, H):
    s, count, _ = AWKWARD[name]
    assert s.parameter_count(I, H, **WIDTHS) == count(I, H, H * (I + H + 1))


@pytest.mark.parametrize("name", AWKWARD)
def test_drivers_refuse_what_they_lack_by_name(name):
    s, _, lacking = AWKWARD[name]
    cell = Cell(s, (None,) * len(s.stages), (None,) * len(s.stages))
    if lacking:
        with pytest.raises(NotImplementedError, match=lacking):
            make_plan(cell)
    else:
        fed = {(r.stage, r.slot + i) for r in make_plan(cell).runs for i in range(len(r.gates))}
        assert fed == {(k, i) for k, stage in enumerate(s.stages) for i in range(len(stage.slots))}


def context_forward(a, s, q, p):
    """s' = (1 − α) B x + α s."""
    return ((const(a[0], 1.0) - p[0]) * a[0] + p[0] * s[0],), (a[0],)


def context_backward(dout, dq, s, q, p):
    one = const(q[0], 1.0)
    return (dout[0] * (one - p[0]),), (dout[0] * p[0],), (), (dout[0] * (s[0] - q[0]),)


def hidden_forward(a, s, q, p):
    h = sigmoid(a[0])
    return (h,), (h,)


def hidden_backward(dout, dq, s, q, p):
    h = q[0]
    return (dout[0] * h * (const(h, 1.0) - h),), (const(h, 0.0),), (), ()


def projected_forward(a, s, q, p):
    i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), tanh(a[2]), sigmoid(a[3])
    c = f * s[0] + i * g
    return (o * tanh(c), c), (i, f, g, o, tanh(c))


def projected_backward(dout, dq, s, q, p):
    i, f, g, o, tc = q
    one = const(i, 1.0)
    dc = dout[1] + dout[0] * o * (one - tc * tc)
    da_o = dout[0] * tc * o * (one - o)
    return (
        (dc * g * i * (one - i), dc * s[0] * f * (one - f), dc * i * (one - g * g), da_o),
        (dc * f,),
        (),
        (),
    )


def copy_forward(a, s, q, p):
    return (a[0],), ()


def copy_backward(dout, dq, s, q, p):
    return (dout[0],), (const(dout[0], 0.0),), (), ()


RUNNABLE = [
    Cell(SCRN, (context_forward, hidden_forward), (context_backward, hidden_backward)),
    Cell(LSTM_PROJECTED, (projected_forward, copy_forward), (projected_backward, copy_backward)),
]


@pytest.mark.parametrize("cell", RUNNABLE, ids=lambda c: c.name)
def test_other_widths_scalars_and_new_states_run(cell):
    """The kernels' whole gradient against central differences, along a random direction."""
    target = get_target("cpu", threads=1)
    case = random_case(
        cell, seed=3, **{w: n for w, n in WIDTHS.items() if w in _letters(cell.spec)}
    )
    _, _, tape = target.forward(*case.forward_arguments())
    grads = target.backward(tape, case.dy, case.dstate)
    rng = np.random.default_rng(4)
    direction = {k: rng.uniform(-1, 1, np.shape(v)) for k, v in case.params.items()}
    dx = rng.uniform(-1, 1, case.x.shape)
    ds = {k: rng.uniform(-1, 1, v.shape) for k, v in case.state.items()}
    got = (grads.x * dx).sum() + sum((grads.params[k] * d).sum() for k, d in direction.items())
    got += sum((grads.state[k] * d).sum() for k, d in ds.items())

    def loss(h):
        y, states, _ = target.forward(
            cell,
            {k: v + h * direction[k] for k, v in case.params.items()},
            case.x + h * dx,
            {k: v + h * ds[k] for k, v in case.state.items()},
            case.lengths,
        )
        return (y * case.dy).sum() + sum((states[k][-1] * v).sum() for k, v in case.dstate.items())

    assert got == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-7)


def _letters(s):
    return {p.columns for p in s.parameters} | {p.width for p in s.parameters}
