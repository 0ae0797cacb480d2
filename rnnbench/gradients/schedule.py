"""Gradient algorithms as plain data: lists of steps that ``runner.run`` carries out in order.

A step names a chunk [t0, t1) of the sequence. ``Forward`` runs the cell over it from the state
the chunk before left, and keeps its tape; ``Backward`` consumes that tape. What makes one
algorithm differ from another is the order of the steps and whether a gradient crosses an edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.checks import check_count
from rnnbench.errors import InputError


@dataclass(frozen=True)
class Forward:
    """Run steps t0 … t1-1 and keep the tape."""

    t0: int
    t1: int


@dataclass(frozen=True)
class Backward:
    """Backpropagate through steps t1-1 … t0, and drop the tape.

    carry: the gradient at the right edge is what the chunk starting at t1 sent back. Otherwise
    the state that crosses t1 counts as a constant (detached): the gradient there is zero, or at
    the sequence's end the gradient of the final state.
    """

    t0: int
    t1: int
    carry: bool


Schedule = list[Forward | Backward]


def full(T: int) -> Schedule:
    """Full backpropagation through T steps (Werbos 1990)."""
    return chunked(T, T)


def chunked(T: int, k: int) -> Schedule:
    """Truncated backpropagation: chunks of k steps, the state carried, its gradient cut.

    Williams & Peng 1990 with k1 = k2 = k. The last chunk may be shorter; k ≥ T is ``full(T)``.
    One chunk's tape is held at a time. InputError unless T and k are whole numbers ≥ 1.
    """
    check_count("T", T)
    check_count("k", k)
    steps: Schedule = []
    for t0 in range(0, T, k):
        t1 = min(t0 + k, T)
        steps += [Forward(t0, t1), Backward(t0, t1, carry=False)]
    return steps


def check_schedule(schedule: Sequence[Forward | Backward], T: int) -> Schedule:
    """The schedule as a list. InputError unless it covers [0, T) exactly.

    Forward chunks follow each other from 0 to T; each is gone back through once, after it ran;
    a carried gradient exists by then.
    """
    if not isinstance(schedule, Sequence) or isinstance(schedule, str):
        raise InputError(f"schedule is a {type(schedule).__name__}; needs a list of steps")
    schedule = list(schedule)
    reached, waiting, edges = 0, set(), set()
    for step in schedule:
        if not isinstance(step, Forward | Backward):
            raise InputError(f"schedule holds a {type(step).__name__}; needs Forward or Backward")
        chunk = (step.t0, step.t1)
        if isinstance(step, Forward):
            if step.t0 != reached or not step.t0 < step.t1 <= T:
                raise InputError(
                    f"{step} comes when {reached} of T={T} steps have run; chunks must follow "
                    "each other"
                )
            reached = step.t1
            waiting.add(chunk)
            continue
        if chunk not in waiting:
            raise InputError(f"{step} has no tape; each Forward chunk is gone back through once")
        if step.carry and step.t1 not in edges:
            raise InputError(f"{step} carries a gradient that no later chunk has sent yet")
        waiting.remove(chunk)
        edges.add(step.t0)
    if reached != T:
        raise InputError(f"schedule covers {reached} steps; the sequence has T={T}")
    if waiting:
        t0, t1 = min(waiting)
        raise InputError(f"schedule never goes back through the chunk [{t0}, {t1})")
    return schedule
