"""The reference's RTRL and its approximations."""

from itertools import product

import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench_reference import online
from rnnbench_reference import rtrl as forwards

LENGTHS = (2, 0, 5)
MATRIX_FREE = ("indrnn", "sru", "min_gru", "unicornn")


def rest_of(case):
    return case.state, case.lengths, case.dstate, case.inputs


def linear(case, through_matrices=True):
    given = (case.params, case.x, case.state, case.lengths, case.inputs)
    return forwards.linearised(case.cell, *given, through_matrices)


def dy_inside(case):
    return np.where(np.arange(len(case.x))[:, None, None] < case.lengths[:, None], case.dy, 0)


def assert_same(got, want, rtol=1e-12):
    assert set(got) == set(want)
    for name in want:
        atol = rtol * max(np.abs(want[name]).max(initial=0), 1e-3)
        np.testing.assert_allclose(got[name], want[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("cell", ref.cell_names())
def test_rtrl_is_bptt(cell, random_case):
    """Tangents by the complex step against the cells' own backward: no cell breaks either."""
    case = random_case(cell, lengths=LENGTHS)
    got = forwards.rtrl(case.cell, case.params, case.x, case.dy, *rest_of(case))
    want = ref.full(case.cell, case.params, case.x, case.dy, *rest_of(case))
    assert_same(got.params, want.params)
    assert_same(got.state, want.state)


def small(random_case, cell, T=3):
    """One short sequence."""
    case = random_case(cell, lengths=(T,))
    case.x, case.dy = case.x[:T], case.dy[:T]
    case.inputs = {name: values[:T] for name, values in case.inputs.items()}
    return case


def test_a_step_s_own_gradient(random_case):
    """Row t of ``steps`` is backpropagation of the loss of step t alone."""
    case = small(random_case, "lstm")
    got = forwards.rtrl(case.cell, case.params, case.x, case.dy, case.state)
    for t in range(3):
        alone = np.zeros_like(case.dy)
        alone[t] = case.dy[t]
        want = ref.full(case.cell, case.params, case.x, alone, case.state)
        assert_same(forwards.named(case.params, got.steps[t]), want.params)


def test_a_wrong_jacobian_shows(random_case):
    case = small(random_case, "gru")
    steps = linear(case)
    incoming = forwards.signals(case.cell, steps, case.dy)
    whole = np.ones(steps.F.shape[2:], bool)
    want = forwards.rtrl(case.cell, case.params, case.x, case.dy, case.state).steps
    np.testing.assert_allclose(online.snap(steps.J, steps.F, incoming, whole), want, rtol=1e-12)
    for wrong in (np.swapaxes(steps.J, 2, 3), steps.J * 1.001, np.roll(steps.J, 1, axis=0)):
        found = online.snap(wrong, steps.F, incoming, whole)
        assert not np.allclose(found, want, rtol=1e-4)


def test_no_derivative_passes_a_matrix(random_case):
    """By hand: nothing is left of an Elman step; of an LSTM's c its forget gate."""
    elman = linear(small(random_case, "elman_tanh"), through_matrices=False)
    assert not elman.J.any() and elman.F.any()
    case = small(random_case, "lstm")
    J = linear(case, through_matrices=False).J[0, 0]
    a = case.params["W"] @ case.x[0, 0] + case.params["R"] @ case.state["h"][0] + case.params["b"]
    _, f, _, o = np.split(a, 4)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = linear(case).states["c"][1, 0]
    np.testing.assert_allclose(J[7:, 7:], np.diag(f), atol=1e-15)
    np.testing.assert_allclose(J[:7, 7:], np.diag(o * (1 - np.tanh(c) ** 2) * f), atol=1e-15)
    assert not J[:, :7].any()


@pytest.mark.parametrize("cell", ref.cell_names())
def test_what_matrices_pass_is_all_that_goes(cell, random_case):
    """Without recurrent matrices nothing changes; elsewhere what is left is a unit's own."""
    case = small(random_case, cell, T=2)
    whole, part = linear(case), linear(case, through_matrices=False)
    np.testing.assert_array_equal(part.F, whole.F)
    if cell in MATRIX_FREE:
        np.testing.assert_allclose(part.J, whole.J, rtol=1e-14, atol=1e-15)
    widths = [history.shape[2] for history in part.states.values()]
    edges = np.cumsum([0, *widths])
    for i, j in product(range(len(widths)), repeat=2):
        block = part.J[..., edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
        if widths[i] == widths[j]:
            off = block[..., ~np.eye(widths[i], dtype=bool)]
            assert not off.any()
        else:
            assert not block.any()


@pytest.mark.parametrize("cell", MATRIX_FREE)
def test_stop_gradient_is_exact_without_recurrent_matrices(cell, random_case):
    case = random_case(cell, lengths=LENGTHS)
    got = online.stop_gradient(case.cell, case.params, case.x, dy_inside(case), *rest_of(case))
    want = ref.full(case.cell, case.params, case.x, case.dy, *rest_of(case))
    assert_same(got, want.params)


def test_stop_gradient_of_elman_is_one_step(random_case):
    """Nothing passes from step to step: the sum of every step's own gradient."""
    case = small(random_case, "elman_tanh")
    got = online.stop_gradient(case.cell, case.params, case.x, case.dy, case.state)
    assert_same(got, ref.chunked(case.cell, case.params, case.x, case.dy, 1, case.state).params)


def textbook(random_case):
    """An Elman step of two units, with what the approximations need."""
    case = small(random_case, "elman_tanh")
    rng = np.random.default_rng(0)
    case.params = {
        "W": rng.standard_normal((2, 4)),
        "R": rng.standard_normal((2, 2)),
        "b": rng.standard_normal(2),
    }
    case.state, case.dy = {"h": rng.standard_normal((1, 2))}, rng.standard_normal((3, 1, 2))
    case.dstate = None
    steps = linear(case)
    return case, steps, forwards.signals(case.cell, steps, case.dy)


def every_sign(*shape):
    for signs in product([-1.0, 1.0], repeat=int(np.prod(shape))):
        yield np.reshape(signs, shape)


def test_uoro_is_unbiased(random_case):
    case, steps, incoming = textbook(random_case)
    found = [online.uoro(steps.J, steps.F, incoming, s) for s in every_sign(3, 1, 2)]
    want = forwards.rtrl(case.cell, case.params, case.x, case.dy, case.state).steps
    np.testing.assert_allclose(np.mean(found, axis=0), want, rtol=1e-11, atol=1e-13)
    assert not np.allclose(np.mean(found[:16], axis=0), want, rtol=1e-3)


def test_kf_rtrl_is_unbiased(random_case):
    case, steps, incoming = textbook(random_case)
    h = steps.states["h"]
    D = np.stack([np.apply_along_axis(np.diag, 1, 1 - v**2) for v in h[1:]])
    sources = np.concatenate([case.x, h[:-1], np.ones((3, 1, 1))], axis=2)
    given = (steps.J, D, sources, incoming)
    found = np.mean([online.kf_rtrl(*given, s) for s in every_sign(3, 2, 1)], axis=0)
    want = forwards.rtrl(case.cell, case.params, case.x, case.dy, case.state).steps
    flat = np.concatenate(
        [found[:, :, :4].reshape(3, -1), found[:, :, 4:6].reshape(3, -1), found[:, :, 6]], axis=1
    )
    np.testing.assert_allclose(flat, want, rtol=1e-11, atol=1e-13)


def test_snap_mask_of_elman(random_case):
    """One step reaches a parameter's own unit; two reach all, and that is RTRL."""
    case, steps, incoming = textbook(random_case)
    one, two = (online.snap_mask(steps.J, steps.F, n) for n in (1, 2))
    own = np.concatenate([np.repeat(np.eye(2), n, axis=1) for n in (4, 2, 1)], axis=1)
    np.testing.assert_array_equal(one, own)
    assert two.all()
    want = forwards.rtrl(case.cell, case.params, case.x, case.dy, case.state).steps
    np.testing.assert_allclose(online.snap(steps.J, steps.F, incoming, two), want, rtol=1e-12)
    assert not np.allclose(online.snap(steps.J, steps.F, incoming, one), want, rtol=1e-3)


@pytest.mark.parametrize("cell", ["lstm", "clockwork", "phased_lstm", "scrn"])
def test_directional_is_the_gradient_s_product(cell, random_case):
    case = random_case(cell, lengths=LENGTHS)
    rng = np.random.default_rng(1)
    along = {name: rng.standard_normal(p.shape) for name, p in case.params.items()}
    got = online.directional(
        case.cell, case.params, along, case.x, dy_inside(case), *rest_of(case)
    )  # fmt: skip
    want = ref.full(case.cell, case.params, case.x, case.dy, *rest_of(case)).params
    assert got == pytest.approx(sum((want[k] * v).sum() for k, v in along.items()), rel=1e-11)


def test_what_it_is_given_is_checked(random_case):
    """Nothing is broadcast, nothing of another name is left out, float32 is not made up for."""
    case = small(random_case, "gru")
    given = (case.cell, case.params, case.x)
    for dy in (case.dy[:2], case.dy[..., :1], case.dy.astype(np.float32)):
        with pytest.raises(ValueError, match="dy: "):
            forwards.rtrl(*given, dy, case.state)
    for dstate in ({"k": case.state["h"]}, {"h": case.state["h"][:, :1]}):
        with pytest.raises(ValueError, match="dstate"):
            forwards.rtrl(*given, case.dy, case.state, None, dstate)
    with pytest.raises(ValueError, match="x: dtype float32, expected float64"):
        forwards.linearised(case.cell, case.params, case.x.astype(np.float32))
