"""Checkpointing: full backpropagation with few tapes, by running steps forward again.

Schedules (``schedule``) whose gradient is that of ``full``. The sequence is cut into leaves; one
leaf at a time is on a tape. The states at some leaves' starts are stored, and what lies between
runs again from there. A state counts as stored while it is saved, the initial one included; the
current one does not count. Leaves are counted from the sequence's end, so that the first one may
be shorter.
"""

import itertools
import math
from array import array
from collections.abc import Callable

from rnnbench.checks import check_count
from rnnbench.errors import InputError
from rnnbench.gradients.schedule import Backward, Forward, Restore, Save, Schedule


def sqrt_checkpointing(T: int, length: int | None = None) -> Schedule:
    """The states at the starts of segments are stored; each segment runs again, from the last one.

    Chen, Xu, Zhang & Guestrin 2016, arXiv:1604.06174, section 4: with segments of √T steps (the
    default, rounded up) memory grows with √T and time by less than one forward pass.

    With n = ⌈T/length⌉ segments: n − 1 stored states, ``length`` taped steps, T − length (for
    n > 1) recomputed steps: the last segment is on a tape at once.
    """
    T = check_count("T", T)
    length = math.isqrt(T - 1) + 1 if length is None else check_count("length", length)
    segments = list(itertools.pairwise(leaf_edges(T, length)))
    *others, (t0, t1) = segments
    steps: Schedule = []
    for a, b in others:
        steps += [Save(a), Forward(a, b, keep=False)]
    steps += [Forward(t0, t1), Backward(t0, t1, carry=False)]
    for a, b in reversed(others):
        steps += [Restore(a), Forward(a, b), Backward(a, b, carry=True)]
    return steps


def optimal_checkpointing(T: int, stored: int, leaf: int = 1) -> Schedule:
    """The fewest forward steps with at most ``stored`` states stored, by dynamic programming.

    Gruslys, Munos, Danihelka, Lanctot & Graves 2016, arXiv:1606.03401, section 3.1 (BPTT-HSM):
    for a segment of t steps whose start is stored, m stored states in all, store the state after
    y steps more, do what is right of it with m − 1, then what is left of it with m:
        C(t, m) = min over y of  y + C(t − y, m − 1) + C(y, m)
    with C = t for a leaf, which needs no further stored state. There leaf = 1, C(t, 1) =
    t(t + 1)/2; longer ones, at once on a tape, are here for speed.

    Forward steps are C(T, stored) = ``least_steps``. Planning takes O(n·min(stored, n)) time and
    memory for n = ⌈T/leaf⌉ leaves (0.3 µs each, or so); ``revolve`` finds the same in closed
    form. InputError where stored is 0 and T > leaf.
    """
    n = check_budget(T, stored, leaf)
    splits = recurrence(n, min(stored, n - 1))[1]
    return recursive(T, stored, leaf, lambda count, states: splits[states][count])


def revolve(T: int, stored: int, leaf: int = 1) -> Schedule:
    """The fewest forward steps with at most ``stored`` states stored, in closed form.

    Griewank & Walther 2000, "Algorithm 799: revolve", ACM TOMS 26:19-45. m stored states and at
    most r runs of each leaf before the one on a tape reach β(m, r) = binomial(m + r, m) leaves.
    For n leaves with β(m, r−1) < n ≤ β(m, r), the next state is best stored after y leaves if
        β(m, r−2) ≤ y ≤ β(m, r−1)   and   β(m−1, r−1) ≤ n − y ≤ β(m−1, r).
    The largest such y is taken: the first leaf, which may be short, then runs most often.

    Planning takes O(T/leaf) time. Arguments and errors as of ``optimal_checkpointing``.
    """
    check_budget(T, stored, leaf)
    return recursive(T, stored, leaf, binomial_split)


def least_steps(T: int, stored: int, leaf: int = 1) -> int:
    """The fewest forward steps, taped ones included, in closed form.

    (r + 1)·T − leaf·β(m + 1, r − 1) for the least r with leaf·β(m, r) ≥ T: Griewank & Walther
    2000, there without the T taped steps and for leaf = 1.
    """
    n = check_budget(T, stored, leaf)
    if n == 1:
        return T
    m = min(stored, n - 1)
    r = repeats(n, m)
    return (r + 1) * T - leaf * reach(m + 1, r - 1)


def leaf_edges(T: int, leaf: int) -> list[int]:
    """0, the starts of the further leaves, T."""
    return sorted({0, *range(T, 0, -leaf)})


def check_budget(T: int, stored: int, leaf: int) -> int:
    """The number of leaves. InputError unless they can be run with so many stored states."""
    T, leaf = check_count("T", T), check_count("leaf", leaf)
    stored = check_count("stored", stored, 0)
    if stored == 0 and T > leaf:
        raise InputError(f"stored is 0; T={T} steps in leaves of {leaf} need at least one state")
    return -(-T // leaf)


def recursive(T: int, stored: int, leaf: int, split: Callable[[int, int], int]) -> Schedule:
    """The schedule in which a segment of n leaves with m states stores one after split(n, m)."""
    edges = leaf_edges(T, leaf)
    steps: Schedule = []
    # (first leaf, end leaf, states, whether the start's is stored), the one on top comes next;
    # more states than splits are of no use
    waiting = [(0, len(edges) - 1, min(stored, len(edges) - 2), False)]
    while waiting:
        first, end, states, saved = waiting.pop()
        t0, t1 = edges[first], edges[end]
        if saved:
            steps.append(Restore(t0))
        if end - first == 1:
            steps += [Forward(t0, t1), Backward(t0, t1, carry=t1 < T)]
            continue
        if not saved:
            steps.append(Save(t0))
        states = min(states, end - first - 1)
        middle = first + split(end - first, states)
        steps.append(Forward(t0, edges[middle], keep=False))
        waiting += [(first, middle, states, True), (middle, end, states - 1, False)]
    return steps


def recurrence(n: int, states: int) -> tuple[list[int], list[array]]:
    """C(t, states) for t = 0 … n leaves of one step; and per number of states, for each t ≤ n, the
    largest y that is best.

    C(·, m) is convex, so the best y for t is that for t − 1 or one more.
    """
    never = (n + 1) ** 2  # more than any cost
    costs, splits = [0, 1] + [never] * (n - 1), [array("q")]
    for _ in range(states):
        right, costs, split, y = costs, [0, 1], array("q", [0, 0]), 0
        for t in range(2, n + 1):
            cost = y + right[t - y] + costs[y]
            more = y + 1 + right[t - y - 1] + costs[y + 1]
            if more <= cost or y == 0:
                y, cost = y + 1, more
            costs.append(cost)
            split.append(y)
        splits.append(split)
    return costs, splits


def binomial_split(n: int, states: int) -> int:
    """See ``revolve``: n ≥ 2 leaves, 1 ≤ states < n."""
    r = repeats(n, states)
    return min(reach(states, r - 1), n - reach(states - 1, r - 1))


def reach(states: int, r: int) -> int:
    """β(states, r), 0 for r < 0."""
    return math.comb(states + r, states) if r >= 0 else 0


def repeats(n: int, states: int) -> int:
    """The least r with β(states, r) ≥ n, for states ≥ 1."""
    high = 1
    while reach(states, high) < n:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reach(states, middle) < n else (low, middle)
    return high
