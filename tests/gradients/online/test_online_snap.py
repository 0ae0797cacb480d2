"""SnAp: its mask, and where it is RTRL."""

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.gradients.online import Online, SnAp
from rnnbench.gradients.online.snap import pattern
from rnnbench.params import random_case
from rnnbench.target import reference_cell
from rnnbench_reference import rtrl as ref
from rnnbench_reference.online import snap, snap_mask

PLAIN = get_target("plain")
WITHOUT_MATRICES = [
    name
    for name in cell_names()
    if all(t.source in ("x", "") for s in get_cell(name).spec.stages for t in s.terms)
]


def small_case(cell, T=4, H=3):
    return random_case(cell, T=T, B=2, I=2, H=H, seed=1)


def network(case):
    return Online("rtrl", PLAIN, case.cell, case.params, 2).algorithm.network


def test_some_cells_have_no_recurrent_matrix():
    assert len(WITHOUT_MATRICES) > 3


@pytest.mark.parametrize("cell", WITHOUT_MATRICES)
def test_snap_1_is_rtrl_without_recurrent_matrices(cell, online):
    case = small_case(cell)
    online.assert_same(online.run(SnAp(1), case).params, online.bptt(case).params)


@pytest.mark.parametrize("cell", representatives())
def test_snap_is_rtrl_once_n_steps_reach_everything(cell, online):
    case = small_case(cell)
    found = network(case)
    n = next(n for n in range(1, 9) if (pattern(found, n) == pattern(found, n + 1)).all())
    online.assert_same(online.run(SnAp(n), case).params, online.bptt(case).params)


ONE_TO_ONE = ["elman_tanh", "lstm", "lstm_peephole", "gru", "gru_reset_before", "scrn", "lem"]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("cell", ONE_TO_ONE)
def test_snap_is_the_reference_s(cell, n, online):
    """Where each entry is a parameter of its own, as in the paper."""
    case = random_case(cell, T=4, B=2, I=2, H=3, seed=2, ragged=False)
    steps = ref.linearised(reference_cell(cell), case.params, case.x, case.state)
    incoming = ref.signals(reference_cell(cell), steps, case.dy, case.dstate)
    mask = snap_mask(steps.J, steps.F, n)
    want = snap(steps.J, steps.F, incoming, mask).sum(axis=0)
    got = online.run(SnAp(n), case)
    online.assert_same(got.params, ref.named(case.params, want))
    full = ref.rtrl(reference_cell(cell), case.params, case.x, case.dy, case.state, None,
                    case.dstate)  # fmt: skip
    reaches_all = (mask == snap_mask(steps.J, steps.F, 9)).all()
    assert online.differs(got.params, full.params) == (not reaches_all)


def ring(H=5, T=6):
    """An Elman network whose units see the next one only."""
    case = random_case("elman_tanh", T=T, B=2, I=2, H=H, seed=3)
    case.params["R"][...] *= np.roll(np.eye(H), 1, axis=1)
    return case


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_ring_of_units(n, online):
    """n steps reach n units: that many numbers an entry are stored, and RTRL needs all five."""
    case = ring()
    one = Online(SnAp(n, sparse=True), PLAIN, case.cell, case.params, 2)
    entries = sum(p.size for p in case.params.values())
    assert sum(g.influence.size for g in one.algorithm.groups) == 2 * n * entries
    got, want = online.run(SnAp(n, sparse=True), case).params, online.bptt(case).params
    if n == 5:
        online.assert_same(got, want)
    else:
        assert online.differs(got, want)


def test_a_dense_matrix_reaches_everything_in_two_steps(online):
    case = random_case("elman_tanh", T=6, B=2, I=2, H=5, seed=3)
    online.assert_same(online.run(SnAp(2), case).params, online.bptt(case).params)
    one = Online(SnAp(1), PLAIN, case.cell, case.params, 2)
    assert [g.states.shape for g in one.algorithm.groups] == [(5, 1)]


def test_many_states_a_group(online):
    """More than are summed one by one: the same through matrix products."""
    case = random_case("lstm", T=4, B=2, I=2, H=6, seed=4)
    one = Online(SnAp(2), PLAIN, case.cell, case.params, 2)
    assert [g.states.shape for g in one.algorithm.groups] == [(1, 12)]
    online.assert_same(online.run(SnAp(2), case).params, online.bptt(case).params)


def test_masked_blocks_are_no_connection_where_sparse():
    """Clockwork: what flows to slower groups is cut by the used matrix, not by the trained one."""
    case = random_case("clockwork", T=2, B=2, I=2, H=6)
    found = network(case)
    full, cut = pattern(found, 9), pattern(found, 9, sparse=True)
    assert full.all() and not cut.all()
    group = np.arange(6) * 3 // 6
    np.testing.assert_array_equal(cut, group[:, None] <= group[None, :])
