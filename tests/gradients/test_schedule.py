"""Schedules as data: the exact visit order and cost; what does not hang together is refused."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.gradients.schedule import (
    Backward,
    Cost,
    Forward,
    Restore,
    Save,
    check_schedule,
    chunked,
    cost,
    full,
    uses,
)


def test_full_goes_out_and_back():
    assert full(7) == [Forward(0, 7), Backward(0, 7, carry=False)]


def test_full_in_chunks_counted_from_the_end():
    assert full(7, 3) == [
        Forward(0, 1),
        Forward(1, 4),
        Forward(4, 7),
        Backward(4, 7, carry=False),
        Backward(1, 4, carry=True),
        Backward(0, 1, carry=True),
    ]
    assert full(7, 7) == full(7, 9) == full(7)


def test_chunked_visits_each_chunk_before_the_next():
    assert chunked(7, 3) == [
        Forward(0, 3),
        Backward(0, 3, carry=False),
        Forward(3, 6),
        Backward(3, 6, carry=False),
        Forward(6, 7),
        Backward(6, 7, carry=False),
    ]


@pytest.mark.parametrize("k", [7, 8, 100])
def test_one_chunk_is_full(k):
    assert chunked(7, k) == full(7)


@pytest.mark.parametrize("T", [1, 2, 5, 12])
@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_chunks_cover_once_and_hold_at_most_k_steps(T, k):
    held, most, visited = 0, 0, []
    for step in check_schedule(chunked(T, k), T):
        if isinstance(step, Forward):
            held += step.t1 - step.t0
            visited += range(step.t0, step.t1)
        else:
            held -= step.t1 - step.t0
        most = max(most, held)
    assert visited == list(range(T))
    assert (held, most) == (0, min(k, T))
    assert cost(chunked(T, k)) == Cost(T, 0, T, states=0, taped=min(k, T))
    assert cost(full(T, k)) == Cost(T, 0, T, states=0, taped=T)


# Steps 0 and 1 are gone through again for the loss of step 2; steps 3 and 4 run twice.
EVERYTHING = [
    Forward(0, 2),
    Backward(0, 2, carry=0),
    Forward(2, 3),
    Backward(2, 3, carry=0),
    Backward(0, 2, carry=0.5, loss=False),
    Save(3),
    Forward(3, 5, keep=False),
    Restore(3),
    Forward(3, 4, keep=False),
    Save(4),
    Forward(4, 5),
    Restore(4),
    Restore(3),
    Forward(3, 4),
    Backward(4, 5, carry=0),
    Backward(3, 4, carry=1),
]


def test_uses_are_the_last_ones():
    """Of the tape of steps 0 and 1 the second; of the state at 3 the second."""
    assert uses(EVERYTHING).last == {3, 4, 11, 12, 14, 15}
    assert uses(EVERYTHING).sends == {3, 14}


def test_cost_counts_what_is_held():
    """Most states: at 3 and 4. Most steps on tapes: 0, 1 and 2; forward: 3 + 2 + 1 + 1 + 1."""
    assert cost(EVERYTHING) == Cost(forward=8, recomputed=3, backward=7, states=2, taped=3)


def test_a_forward_without_a_tape_leaves_an_earlier_tape_alone():
    again = [Save(0), Forward(0, 2), Restore(0), Forward(0, 2, keep=False), Backward(0, 2, 0)]
    assert cost(again) == Cost(forward=4, recomputed=2, backward=2, states=1, taped=2)


@pytest.mark.parametrize("k", [0, -1, 2.0, True, None, "2"])
def test_bad_k(k):
    with pytest.raises(InputError, match="k is"):
        chunked(5, k)


@pytest.mark.parametrize("T", [0, -3, 1.5])
def test_bad_length(T):
    with pytest.raises(InputError, match="T is"):
        full(T)


# what is wrong -> (steps, what the message says)
WRONG = {
    "nothing": ([], "covers 0 steps; the sequence has T=5"),
    "too short": (full(4), "covers 4 steps; the sequence has T=5"),
    "too long": (full(6), "state is at 0 of T=5"),
    "never back": ([Forward(0, 5)], r"never goes back through the chunk \[0, 5\)"),
    "not from the start": ([Forward(1, 5), Backward(1, 5, False)], "state is at 0 of T=5"),
    "a gap": (
        [Forward(0, 2), Backward(0, 2, False), Forward(3, 5), Backward(3, 5, False)],
        "state is at 2 of T=5",
    ),
    "an overlap": (
        [Forward(0, 3), Backward(0, 3, False), Forward(2, 5), Backward(2, 5, False)],
        "state is at 3 of T=5",
    ),
    "an empty chunk": ([Forward(0, 0), Backward(0, 0, False), *full(5)], "state is at 0 of T=5"),
    "backwards first": ([Backward(0, 5, False), Forward(0, 5)], "has no tape"),
    "other edges": ([Forward(0, 5), Backward(0, 2, False), Backward(2, 5, 0)], "has no tape"),
    "no tape kept": ([Forward(0, 5, keep=False), Backward(0, 5, 0)], "has no tape"),
    "a loss twice": (
        [Forward(0, 5), Backward(0, 5, False), Backward(0, 5, False)],
        "takes the loss of step 0 a second time",
    ),
    "a loss twice, in part": (
        [Save(0), Forward(0, 3), Backward(0, 3, 0), Restore(0), Forward(0, 2, keep=False),
         Forward(2, 3), Backward(2, 3, 0), Forward(3, 5), Backward(3, 5, 0)],
        "takes the loss of step 2 a second time",
    ),
    "a loss never": (
        [Forward(0, 2), Forward(2, 5), Backward(2, 5, 0), Backward(0, 2, 1, loss=False)],
        "never takes the loss of step 0",
    ),
    "nothing to do": (
        [Forward(0, 5), Backward(0, 5, 0), Backward(0, 5, 0, loss=False)],
        "takes no loss and carries nothing",
    ),
    "carry at the end": ([Forward(0, 5), Backward(0, 5, True)], "no later chunk has sent"),
    "carry too early": (
        [Forward(0, 2), Forward(2, 5), Backward(0, 2, True), Backward(2, 5, False)],
        "no later chunk has sent",
    ),
    "carry twice": (
        [Forward(0, 2), Forward(2, 5), Backward(2, 5, 0), Backward(0, 2, 1),
         Backward(0, 2, 1, loss=False)],
        "no later chunk has sent",
    ),
    "a negative carry": ([Forward(0, 5), Backward(0, 5, -1.0)], "finite number of at least 0"),
    "an infinite carry": ([Forward(0, 5), Backward(0, 5, np.inf)], "finite number of at least 0"),
    "a NaN carry": ([Forward(0, 5), Backward(0, 5, np.nan)], "finite number of at least 0"),
    "no carry": ([Forward(0, 5), Backward(0, 5, None)], "finite number of at least 0"),
    "not saved": ([Restore(0), *full(5)], "no state was saved there"),
    "saved elsewhere": ([Save(1), *full(5)], "state is at 0"),
    "saved in vain": ([Save(0), *full(5)], "never restores the state at 0"),
    "saved twice": ([Save(0), Save(0), Restore(0), *full(5)], "replaces one that nothing has used"),
    "taped twice": (
        [Save(0), Forward(0, 5), Restore(0), *full(5)], "replaces one that nothing has used",
    ),
    "on from elsewhere": (
        [Save(0), Forward(0, 3, keep=False), Restore(0), Forward(3, 5)], "state is at 0 of T=5",
    ),
    "old and new steps": (
        [Save(0), Forward(0, 2, keep=False), Restore(0), Forward(0, 5), Backward(0, 5, 0)],
        "runs old and new steps",
    ),
    "no whole numbers": ([Forward(0.0, 5), Backward(0.0, 5, 0)], "needs a whole number"),
    "no step": ([*full(5), "backward"], "holds a str"),
    "no list": ("forward", "schedule is a str"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_hang_together_over_five_steps_is_refused(wrong):
    steps, message = WRONG[wrong]
    with pytest.raises(InputError, match=message) as raised:
        check_schedule(steps, 5)
    assert "\n" not in str(raised.value)


def test_what_hangs_together_is_not_refused():
    assert check_schedule(tuple(EVERYTHING), 5) == EVERYTHING
    with pytest.raises(InputError, match="runs no step"):
        cost([])


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_any_whole_number_will_do(kind):
    """No step's edge is computed in a type that is too narrow for it."""
    assert chunked(300, kind(100)) == chunked(300, 100)
    assert {type(step.t1) for step in chunked(300, kind(100))} == {int}
    assert check_schedule([Forward(kind(0), kind(5)), Backward(kind(0), kind(5), 0)], 5) == full(5)
    checked = check_schedule([Forward(0, kind(5)), Backward(0, kind(5), np.False_)], 5)
    assert type(checked[0].t1) is int and type(checked[1].carry) in (bool, float)


def test_carry_may_be_a_truth_of_numpy():
    """As ``carry=t1 < T`` is for a T of NumPy."""
    steps = [Forward(0, 2), Forward(2, 5), Backward(2, 5, np.False_), Backward(0, 2, np.True_)]
    assert check_schedule(steps, 5) == [*steps[:2], Backward(2, 5, 0), Backward(0, 2, 1)]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (None, "schedule is a NoneType; needs a list"),
        (5, "schedule is a int"),
        ([Forward(0, "5")], "'5' is no step"),
        ([Forward(0, 5.0)], r"5\.0 is no step"),
        ([Forward(0, 5, keep="x"), Backward(0, 5, 0)], "keep is 'x'; needs True or False"),
        ([Forward(0, 5, keep=2), Backward(0, 5, 0)], "keep is 2"),
        ([Forward(0, 5), Backward(0, 5, 0, loss=None)], "loss is None"),
        ([Forward(0, 5), Backward(0, 5, np.eye(3))], "carry needs a finite number"),
        ([Forward(0, 5), Backward(0, 5, 10**400)], "carry needs a finite number"),
    ],
)
def test_what_is_no_schedule_has_no_cost(schedule, message):
    for call in (cost, lambda steps: check_schedule(steps, 5)):
        with pytest.raises(InputError, match=message) as raised:
            call(schedule)
        assert "\n" not in str(raised.value)
