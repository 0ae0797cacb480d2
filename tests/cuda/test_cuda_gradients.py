"""Schedules and blocks of recurrent learning run on this target as on any: against the reference,
which runs the same steps, and at tiny sizes, for the simulator is slow."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients import online
from rnnbench.gradients.checkpointing import optimal_checkpointing, sqrt_checkpointing
from rnnbench.gradients.clipping import clip_through_time
from rnnbench.gradients.hybrid import hybrid
from rnnbench.gradients.runner import run
from rnnbench.gradients.scan import Scan
from rnnbench.gradients.schedule import chunked, full
from rnnbench.gradients.truncation import truncated, weighted
from rnnbench.params import random_case

T = 5
SCHEDULES = {
    "full": full(T),
    "in chunks": full(T, 2),
    "chunked": chunked(T, 2),
    "truncated": truncated(T, 1, 3),
    "weighted": weighted(T, {2: 0.5, 3: 0.0, 4: 1.7}),
    "square root": sqrt_checkpointing(T),
    "optimal": optimal_checkpointing(T, 2),
}
# of one stage and of two; a state beside the output; what x is multiplied by alone
CELLS = ["gru", "gru_reset_before", "lstm_peephole", "min_gru"]
# sums of few terms of order one, in another order
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
EVERY_DTYPE = pytest.mark.parametrize("dtype", TOLERANCE)


def tiny_case(cell, dtype, ragged=True):
    return random_case(cell, T=T, B=2, I=2, H=3, dtype=dtype, seed=4, ragged=ragged)


def arguments(case):
    return case.cell, case.params, case.x, case.dy


def rest(case):
    return case.state, case.lengths, case.dstate, case.inputs


def assert_same(got, want, dtype):
    parts = {"params": want.params, "state": want.state}
    for part, values in parts.items():
        for name, value in values.items():
            found = getattr(got, part)[name]
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found, value, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name
            )
    if got.x is not None:
        np.testing.assert_allclose(got.x, want.x, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(got.y, want.y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@EVERY_DTYPE
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_equal_the_reference(schedule, cell, dtype):
    case, steps = tiny_case(cell, dtype), SCHEDULES[schedule]
    got, want = (
        run(steps, get_target(name), *arguments(case), *rest(case))
        for name in ("cuda", "reference")
    )
    assert_same(got, want, dtype)


@pytest.mark.parametrize("cell", CELLS)
def test_recomputed_steps_have_the_same_bits(cell):
    """All but the parameters' gradients, which are summed chunk by chunk here."""
    case, target = tiny_case(cell, np.float32), get_target("cuda")
    want = run(full(T), target, *arguments(case), *rest(case))
    got = run(optimal_checkpointing(T, 2), target, *arguments(case), *rest(case))
    for a, b in ((got.x, want.x), (got.y, want.y), *zip_names(got.state, want.state)):
        np.testing.assert_array_equal(a, b)
    again = run(optimal_checkpointing(T, 2), target, *arguments(case), *rest(case))
    for a, b in zip_names(got.params, again.params):
        np.testing.assert_array_equal(a, b)


def zip_names(a, b):
    return [(a[name], b[name]) for name in b]


@pytest.mark.parametrize("cell", CELLS)
def test_hybrid_is_full(cell):
    case = tiny_case(cell, np.float64)
    got = hybrid(get_target("cuda"), *arguments(case), 2, *rest(case))
    want = run(full(T), get_target("reference"), *arguments(case), *rest(case))
    assert_same(got, want, np.float64)


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before"])
def test_a_clip_through_time_acts_at_every_edge(cell):
    case, clip = tiny_case(cell, np.float64), clip_through_time(max_norm=0.2)
    got, want, free = (
        run(full(T, 1), get_target(name), *arguments(case), *rest(case), through=through)
        for name, through in (("cuda", clip), ("reference", clip), ("reference", None))
    )
    assert_same(got, want, np.float64)
    with pytest.raises(AssertionError):
        assert_same(got, free, np.float64)


def test_a_scan_on_this_target():
    case = tiny_case("min_gru", np.float64)
    got = run(full(T), Scan(get_target("cuda")), *arguments(case), *rest(case))
    want = run(full(T), get_target("reference"), *arguments(case), *rest(case))
    assert_same(got, want, np.float64)


def test_online_algorithms_say_that_they_can_not():
    case = tiny_case("gru", np.float64, ragged=False)
    with pytest.raises(InputError, match="target cuda gives no slopes of its steps"):
        online.run("rtrl", get_target("cuda"), *arguments(case))
