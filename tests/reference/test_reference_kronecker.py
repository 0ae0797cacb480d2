"""The reference's KF-RTRL and OK of any cell: steps as products, and their unbiased sums."""

from itertools import product

import numpy as np
import pytest

from rnnbench_reference import kronecker, online, rtrl

CELLS = ["elman_tanh", "lstm_peephole", "gru_reset_before", "antisymmetric_rnn", "fast_rnn", "sru"]


def short(random_case, cell, lengths=(2,)):
    case = random_case(cell, lengths=lengths)
    case.x, case.dy = case.x[:2], case.dy[:2]
    case.inputs = {name: values[:2] for name, values in case.inputs.items()}
    return case


def as_products(case, lengths=None):
    return kronecker.products(case.cell, case.params, case.x, case.state, lengths, case.inputs)


def every_sign(*shape):
    for signs in product([-1.0, 1.0], repeat=int(np.prod(shape))):
        yield np.reshape(signs, shape)


@pytest.mark.parametrize("cell", CELLS)
def test_products_are_the_steps_own_derivatives(cell, random_case):
    """Σ source ⊗ Z at the pairs that a parameter stands at is F, also past a sequence's end."""
    case = short(random_case, cell, (2, 0, 1))
    steps, found = as_products(case, np.array([2, 0, 1]))
    F = np.einsum("tbnr,tbc,rcp->tbnp", found.Z, found.sources, found.spread)
    np.testing.assert_allclose(F, steps.F, rtol=1e-12, atol=1e-14)
    assert F[1, 0].any() and not F[1, 2].any() and not found.sources[:, 1].any()
    np.testing.assert_array_equal(found.J, steps.J)


def test_what_stands_in_one_sum_shares_a_row(random_case):
    """An Elman unit is one row for x, h and the bias; an LSTM's is one a gate."""
    for cell, rows in (("elman_tanh", 7), ("lstm", 28)):
        found = as_products(short(random_case, cell))[1]
        assert found.Z.shape[3] == rows and found.sources.shape[2] == 4 + 7 + 1
        assert (found.spread.sum(axis=(0, 1)) == 1).all()  # each parameter at one pair


@pytest.mark.parametrize("cell", CELLS)
def test_kf_rtrl_is_unbiased(cell, random_case):
    case = short(random_case, cell)
    steps, given = as_products(case)
    incoming = rtrl.signals(case.cell, steps, case.dy)
    pairs = [
        online.kf_rtrl(given.J, given.Z, given.sources, incoming, s) for s in every_sign(2, 2, 1)
    ]
    found = np.einsum("trc,rcp->tp", np.mean(pairs, axis=0), given.spread)
    want = rtrl.rtrl(case.cell, case.params, case.x, case.dy, case.state, None, None, case.inputs)
    np.testing.assert_allclose(found, want.steps, rtol=1e-11, atol=1e-13)
    assert not np.allclose(np.einsum("trc,rcp->tp", pairs[0], given.spread), found, rtol=1e-3)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_ok_is_unbiased(cell, rank, random_case):
    case = short(random_case, cell)
    steps, given = as_products(case)
    incoming = rtrl.signals(case.cell, steps, case.dy)
    each = [kronecker.ok(given, incoming, s) for s in every_sign(2, 1, rank + 1)]
    want = rtrl.rtrl(case.cell, case.params, case.x, case.dy, case.state, None, None, case.inputs)
    np.testing.assert_allclose(np.mean(each, axis=0), want.steps, rtol=1e-10, atol=1e-12)


def test_a_part_of_the_signs_is_biased(random_case):
    """The checks above can fail; with a rank that holds all there is nothing to be unbiased of."""
    case = short(random_case, "gru")
    steps, given = as_products(case)
    incoming = rtrl.signals(case.cell, steps, case.dy)
    want = rtrl.rtrl(case.cell, case.params, case.x, case.dy, case.state).steps
    assert not np.allclose(kronecker.ok(given, incoming, np.ones((2, 1, 2))), want, rtol=1e-3)
    whole = kronecker.ok(given, incoming, np.ones((2, 1, 4)))
    np.testing.assert_allclose(whole, want, rtol=1e-10, atol=1e-12)
    scaled = given._replace(Z=given.Z * 1.001)
    assert not np.allclose(kronecker.ok(scaled, incoming, np.ones((2, 1, 4))), want, rtol=1e-5)


@pytest.mark.parametrize("values", [(9, 4, 2), (1, 1, 1), (9, 1, 0.5), (3, 0, 0), (0, 0, 0)])
def test_reduced(values):
    """Two of three: the mean exact; the variance that of the formula, for the first m allowed."""
    rng, d = np.random.default_rng(3), np.array(values, float)
    left, right = (np.linalg.qr(rng.standard_normal((5, 3)))[0] for _ in range(2))
    matrix = left * d @ right.T
    found = [a @ b.T for a, b in (kronecker.reduced(matrix, 2, s) for s in every_sign(3))]
    np.testing.assert_allclose(np.mean(found, axis=0), matrix, atol=1e-14 * max(d[0], 1))
    m = 0 if 2 * d[0] <= d.sum() else 1
    least = d[m:].sum() ** 2 / (2 - m) - (d[m:] ** 2).sum()
    variance = np.mean([((one - matrix) ** 2).sum() for one in found])
    assert variance == pytest.approx(least, abs=1e-12)
