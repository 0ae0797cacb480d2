"""KF-RTRL and OK against the reference's, which knows neither the specs nor the layout."""

import numpy as np
import pytest

from rnnbench.cells import cell_names
from rnnbench.gradients.online import KFRTRL, OK
from rnnbench.params import random_case
from rnnbench.target import reference_cell
from rnnbench_reference import kronecker, rtrl
from rnnbench_reference.online import kf_rtrl

# A scalar, which is one row there and one a unit here, and a matrix that two slots share, have
# other norms, so other scales: the mean is the same, one draw is not.
OTHER_ROWS = ("fast_rnn", "fast_grnn", "gated_antisymmetric_rnn")
DRAWS = np.random.default_rng(3).choice([-1.0, 1.0], (3, 2, 2, 1))


def reference_steps(cell):
    """(case, its steps as products, the gradients at the states) of one short sequence."""
    case = random_case(cell, T=2, B=1, I=2, H=2, seed=5, ragged=False)
    slow = reference_cell(cell)
    steps, given = kronecker.products(slow, case.params, case.x, case.state, None, case.inputs)
    return case, given, rtrl.signals(slow, steps, case.dy, case.dstate)


def every_gradient(online, signs_of, case, given, algorithm):
    """For each choice of signs: the reference's gradient (P,)."""
    found = []
    for deal, left in online.every_sign(4):
        pairs = algorithm(deal(signs_of))
        assert not left
        found.append(pairs)
    return np.array(found)


@pytest.mark.parametrize("cell", cell_names())
def test_the_reference_s_are_unbiased_for_every_cell(cell, online):
    case, given, incoming = reference_steps(cell)

    def kf(signs):
        pairs = kf_rtrl(given.J, given.Z, given.sources, incoming, signs).sum(axis=0)
        return np.einsum("rc,rcp->p", pairs, given.spread)

    def ok(signs):
        return kronecker.ok(given, incoming, signs).sum(axis=0)

    want = online.bptt(case).params
    for algorithm, shape in ((kf, (2, 2, 1)), (ok, (2, 1, 2))):
        found = every_gradient(online, shape, case, given, algorithm)
        online.assert_same(rtrl.named(case.params, found.mean(axis=0)), want, 1e-11)


@pytest.mark.parametrize("cell", [c for c in cell_names() if c not in OTHER_ROWS])
def test_kf_rtrl_is_the_reference_s_for_the_same_signs(cell, online):
    case, given, incoming = reference_steps(cell)
    for signs in DRAWS:
        pairs = kf_rtrl(given.J, given.Z, given.sources, incoming, signs).sum(axis=0)
        want = rtrl.named(case.params, np.einsum("rc,rcp->p", pairs, given.spread))
        left = list(signs)
        got = online.run(KFRTRL(lambda shape: left.pop(0)), case)  # noqa: B023
        online.assert_same(got.params, want, 1e-11)


@pytest.mark.parametrize("cell", ["elman_tanh", "lstm", "gru_reset_before", "lem", "sru"])
def test_ok_draws_what_the_reference_draws(cell, online):
    """A singular vector's sign is free, so which signs give which gradient is not the same; all
    that can be drawn is, but for the root of the rounding of singular values that are 0."""
    case, given, incoming = reference_steps(cell)
    names = list(case.params)
    want = every_gradient(
        online, (2, 1, 2), case, given, lambda s: kronecker.ok(given, incoming, s).sum(axis=0)
    )
    got = []
    for deal, _ in online.every_sign(4):
        found = online.run(OK(1, deal), case).params
        got.append(np.concatenate([found[name].ravel() for name in names]))
    along = np.random.default_rng(1).standard_normal(want.shape[1])
    values = [np.sort(np.array(each) @ along) for each in (got, want)]
    np.testing.assert_allclose(*values, rtol=1e-7, atol=1e-7)
    assert np.ptp(values[0]) > 1e-3
