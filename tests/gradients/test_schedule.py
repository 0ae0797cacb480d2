"""Schedules as data: the exact visit order, and what does not cover a sequence is refused."""

import pytest

from rnnbench.errors import InputError
from rnnbench.gradients.schedule import Backward, Forward, check_schedule, chunked, full


def test_full_goes_out_and_back():
    assert full(7) == [Forward(0, 7), Backward(0, 7, carry=False)]


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


@pytest.mark.parametrize("k", [0, -1, 2.0, True, None, "2"])
def test_bad_k(k):
    with pytest.raises(InputError, match="k is"):
        chunked(5, k)


@pytest.mark.parametrize("T", [0, -3, 1.5])
def test_bad_length(T):
    with pytest.raises(InputError, match="T is"):
        full(T)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        full(4),
        full(6),
        [Forward(0, 5)],
        [Forward(1, 5), Backward(1, 5, False)],
        [Forward(0, 2), Backward(0, 2, False), Forward(3, 5), Backward(3, 5, False)],
        [Forward(0, 3), Backward(0, 3, False), Forward(2, 5), Backward(2, 5, False)],
        [Forward(0, 5), Backward(0, 5, False), Backward(0, 5, False)],
        [Backward(0, 5, False), Forward(0, 5)],
        [Forward(0, 5), Backward(0, 2, False), Backward(2, 5, False)],
        [Forward(0, 5), Backward(0, 5, True)],
        [Forward(0, 2), Forward(2, 5), Backward(0, 2, True), Backward(2, 5, False)],
        [Forward(0, 0), Backward(0, 0, False), *full(5)],
        [*full(5), "backward"],
    ],
)
def test_what_does_not_cover_five_steps_is_refused(steps):
    with pytest.raises(InputError):
        check_schedule(steps, 5)
