"""Unbiased algorithms: their mean over every choice of signs is RTRL's gradient."""

import numpy as np
import pytest

from rnnbench.gradients.online import KFRTRL, OK, UORO, ForwardGradient
from rnnbench.gradients.online.kronecker import reduce
from rnnbench.params import random_case
from rnnbench.target import reference_cell
from rnnbench_reference import rtrl as ref
from rnnbench_reference.online import directional, kf_rtrl, uoro

T = 3
# one stage; two states; a matrix on a product; scalars; a transform; a unit parameter
CELLS = {
    "elman_tanh": 2,
    "lstm": 1,
    "gru_reset_before": 2,
    "fast_rnn": 2,
    "antisymmetric_rnn": 2,
    "sru": 1,
}
EVERY_CELL = pytest.mark.parametrize("cell", CELLS)


def tiny_case(cell, H=None, steps=T):
    """One sequence, so that every sign is one of few."""
    return random_case(cell, T=steps, B=1, I=1, H=H or CELLS[cell], seed=5, ragged=False)


def states_of(case):
    return sum(v.shape[1] for v in case.state.values())


def enumerate_gradients(online, make, case, count):
    """The gradient for each choice of that many signs, all of which must be used."""
    found = []
    for deal, left in online.every_sign(count):
        found.append(online.run(make(deal), case).params)
        assert not left
    return found


def mean(found):
    return {name: np.mean([g[name] for g in found], axis=0) for name in found[0]}


def variance(found, exact):
    """Of all gradients together, around the exact one."""
    return np.mean([sum(((g[k] - v) ** 2).sum() for k, v in exact.items()) for g in found])


@EVERY_CELL
def test_uoro_is_unbiased(cell, online):
    case = tiny_case(cell)
    found = enumerate_gradients(online, UORO, case, T * states_of(case))
    online.assert_same(mean(found), online.bptt(case).params)
    assert online.differs(mean(found[: len(found) // 4]), online.bptt(case).params)


@EVERY_CELL
def test_kf_rtrl_is_unbiased(cell, online):
    case = tiny_case(cell)
    found = enumerate_gradients(online, KFRTRL, case, 2 * T)
    online.assert_same(mean(found), online.bptt(case).params)
    biased = online.run(KFRTRL(np.ones), case)
    assert online.differs(biased.params, online.bptt(case).params)


@pytest.mark.parametrize("rank", [1, 2])
@EVERY_CELL
def test_ok_is_unbiased(cell, rank, online):
    case = tiny_case(cell, steps=2 if rank > 1 else T)
    found = enumerate_gradients(online, lambda s: OK(rank, s), case, len(case.x) * (rank + 1))
    online.assert_same(mean(found), online.bptt(case).params)


@pytest.mark.parametrize("cell", ["elman_tanh", "fast_rnn", "sru_v1"])
def test_forward_gradient_is_unbiased(cell, online):
    case = tiny_case(cell, H=1)
    count = sum(p.size for p in case.params.values())
    found = enumerate_gradients(online, ForwardGradient, case, count)
    online.assert_same(mean(found), online.bptt(case).params)


def test_variances(online):
    """On a fixed case: UORO > KF-RTRL ≥ OK of rank 1 > OK of rank 2."""
    case = tiny_case("elman_tanh")
    exact = online.bptt(case).params
    makers = {
        "uoro": (UORO, T * 2),
        "kf": (KFRTRL, 2 * T),
        "ok 1": (lambda s: OK(1, s), 2 * T),
        "ok 2": (lambda s: OK(2, s), 3 * T),
    }
    found = {
        name: variance(enumerate_gradients(online, make, case, count), exact)
        for name, (make, count) in makers.items()
    }
    assert found["uoro"] > found["kf"] >= found["ok 1"] > found["ok 2"] > 0


@pytest.mark.parametrize("cell", ["elman_tanh", "lstm", "gru_reset_before", "qrnn"])
def test_a_rank_that_holds_everything_has_no_variance(cell, online):
    """As many products as there are sources: the sum is exact whatever the signs."""
    case = random_case(cell, T=4, B=2, I=2, H=3, seed=6)
    online.assert_same(online.run(OK(40, 3), case).params, online.bptt(case).params, 1e-10)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("values", [(9, 4, 2, 1), (1, 1, 1, 1), (9, 1, 1, 0.5), (3, 2, 0, 0)])
def test_reduce(values, rank, online):
    """Mean exact, and the variance the least there is: (Σ tail)² / k − Σ tail², at the best k."""
    rng = np.random.default_rng(7)
    d = np.array(values[: rank + 1], float)
    left, right = (np.linalg.qr(rng.standard_normal((rank + 1,) * 2))[0] for _ in range(2))
    matrix = left * d @ right.T
    products = []
    for deal, _ in online.every_sign(rank + 1):
        a, b = reduce(matrix, rank, deal(rank + 1))
        assert a.shape == b.shape == (rank + 1, rank)
        products.append(a @ b.T)
    np.testing.assert_allclose(np.mean(products, axis=0), matrix, atol=1e-13 * d[0])
    got = np.mean([((p - matrix) ** 2).sum() for p in products])
    possible = [
        d[i:].sum() ** 2 / (rank - i) - (d[i:] ** 2).sum()
        for i in range(rank)
        if (rank - i) * d[i] <= d[i:].sum() + 1e-12
    ]
    assert got == pytest.approx(min(possible), abs=1e-12)


def test_reduce_of_few_values_is_exact():
    matrix = np.random.default_rng(8).standard_normal((2, 4))
    a, b = reduce(matrix, 3, np.ones(4))
    np.testing.assert_allclose(a @ b.T, matrix, atol=1e-14)


@pytest.mark.parametrize("cell", ["elman_tanh", "lstm", "gru_reset_before", "lem"])
def test_uoro_is_the_reference_s(cell, online):
    """The same signs, the same numbers: where every entry is a parameter of its own."""
    case = random_case(cell, T=4, B=2, I=2, H=3, seed=9, ragged=False)
    steps = ref.linearised(reference_cell(cell), case.params, case.x, case.state)
    incoming = ref.signals(reference_cell(cell), steps, case.dy, case.dstate)
    signs = np.random.default_rng(10).choice([-1.0, 1.0], (4, 2, incoming.shape[2]))
    want = uoro(steps.J, steps.F, incoming, signs).sum(axis=0)
    left = list(signs)
    got = online.run(UORO(lambda shape: left.pop(0)), case)
    online.assert_same(got.params, ref.named(case.params, want))


def test_kf_rtrl_is_the_reference_s(online):
    """On the papers' cell, one matrix over (x, h, 1)."""
    case = random_case("elman_tanh", T=4, B=2, I=2, H=3, seed=11, ragged=False)
    steps = ref.linearised("elman_tanh", case.params, case.x, case.state)
    incoming = ref.signals("elman_tanh", steps, case.dy, case.dstate)
    D = np.stack([np.apply_along_axis(np.diag, 1, 1 - h**2) for h in steps.states["h"][1:]])
    sources = np.concatenate([case.x, steps.states["h"][:-1], np.ones((4, 2, 1))], axis=2)
    signs = np.random.default_rng(12).choice([-1.0, 1.0], (4, 2, 2))
    M = kf_rtrl(steps.J, D, sources, incoming, signs).sum(axis=0)
    left = list(signs)
    got = online.run(KFRTRL(lambda shape: left.pop(0)), case)
    online.assert_same(got.params, {"W": M[:, :2], "R": M[:, 2:5], "b": M[:, 5]})


@pytest.mark.parametrize("cell", ["lstm", "fast_rnn", "antisymmetric_rnn", "scrn", "phased_lstm"])
def test_forward_gradient_is_the_slope_along_its_direction(cell, online):
    case = random_case(cell, T=4, B=3, I=2, H=3, seed=13)
    got = online.run(ForwardGradient(4), case).params
    draw = np.random.default_rng(4)
    direction = {k: 2 * draw.integers(0, 2, p.shape) - 1 for k, p in case.params.items()}
    valid = np.arange(4)[:, None, None] < case.lengths[:, None]
    slope = directional(
        reference_cell(cell), case.params, direction, case.x, np.where(valid, case.dy, 0),
        case.state, case.lengths, case.dstate, case.inputs,
    )  # fmt: skip
    online.assert_same(got, {name: slope * v for name, v in direction.items()})


@pytest.mark.parametrize("make", [UORO, KFRTRL, OK, ForwardGradient])
def test_a_seed_is_a_gradient(make, online):
    case = random_case("lstm", T=4, B=2, I=2, H=3)
    first, again, other = (online.run(make(signs=s), case).params for s in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert online.differs(first, other)


@pytest.mark.parametrize("make", [UORO, KFRTRL, OK])
def test_a_sequence_that_ended_adds_no_noise(make, online):
    """Its own part stays as it was: of one sequence, the gradient at its end is that of later."""
    case = random_case("lstm", T=4, B=1, I=2, H=3, ragged=False)
    short = case.cut(slice(0, 2), slice(None))
    got = online.run(make(signs=3), case, lengths=np.array([2]))
    want = online.run(make(signs=3), short)
    online.assert_same(got.params, want.params)
