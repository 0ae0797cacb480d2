"""Truncated backpropagation: windows that overlap, and cuts at random places that leave no bias.

All are schedules (``schedule``): plain lists of steps for ``runner.run``. ``adaptive`` chooses how
far back a window has to go.
"""

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from rnnbench.checks import as_array, check_count
from rnnbench.errors import InputError, shown
from rnnbench.gradients.schedule import Backward, Forward, Schedule, is_factor

Chance = float | Sequence[float] | Callable[[int], float]
MOST_EDGES = 20  # of which all subsets are listed


def truncated(T: int, k1: int, k2: int) -> Schedule:
    """Every k1 steps the losses of those k1 steps go back through the last k2 steps.

    Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories", Neural Computation 2:490-501: BPTT(k2; k1). The nth window is
    [n·k1 − k2, n·k1), cut off at the sequence's two ends, so the last may be shorter; each loss
    sees k2 − k1 + 1 to k2 steps of its past, fewer only where the sequence begins. k1 = k2 is
    ``chunked``; one window of k2 ≥ T is ``full``.

    Nothing runs forward twice. Chunks have edges at multiples of k1 and at multiples minus k2, so
    at most k2 steps are on tapes, each gone through k2/k1 times or once more: about T·k2/k1
    backward steps. InputError unless 1 ≤ k1 ≤ k2: below, the losses between would be lost.
    """
    T, k1, k2 = check_count("T", T), check_count("k1", k1), check_count("k2", k2)
    if k2 < k1:
        raise InputError(f"k2 is {k2}; needs at least k1={k1}, or losses between windows are lost")
    ends = range(k1, T + k1, k1)
    edges = sorted({0, T, *(n for n in ends if n < T), *(n - k2 for n in ends if n > k2)})
    steps: Schedule = []
    for end in ends:
        new, stop = end - k1, min(end, T)
        window = between(edges, max(end - k2, 0), stop)
        steps += [Forward(t0, t1) for t0, t1 in window if t0 >= new]
        steps += [Backward(t0, t1, carry=t1 < stop, loss=t0 >= new) for t0, t1 in reversed(window)]
    return steps


def between(edges: list[int], start: int, stop: int) -> list[tuple[int, int]]:
    """The chunks from edge to edge within [start, stop), both of which are edges."""
    part = edges[bisect_left(edges, start) : bisect_left(edges, stop) + 1]
    return list(itertools.pairwise(part))


def weighted(T: int, factors: Mapping[int, float]) -> Schedule:
    """Backpropagation with a factor on the gradient at some edges.

    factors: edge t (1 … T−1) -> factor on the gradient of the state between steps t−1 and t; 0
    cuts there, 1 changes nothing. What lies between two cuts is on tapes at once. InputError for
    an edge elsewhere, and for a factor that is no finite number of at least 0.
    """
    T = check_count("T", T)
    factors = {check_edge(t, T): check_factor(t, f) for t, f in named("factors", factors).items()}
    steps: Schedule = []
    since: list[tuple[int, int]] = []  # the chunks since the last cut
    for t0, t1 in itertools.pairwise((0, *sorted(factors), T)):
        steps.append(Forward(t0, t1))
        since.append((t0, t1))
        if not factors.get(t1):  # a cut, or the sequence's end
            steps += [Backward(a, b, carry=factors.get(b, 0)) for a, b in reversed(since)]
            since = []
    return steps


def named(name: str, given) -> Mapping:
    """A mapping from edges."""
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is {shown(given)}; needs a mapping edge -> number")
    return given


def check_edge(t, T: int) -> int:
    if check_count("edge", t) >= T:
        inside = f"1 to {T - 1}" if T > 1 else "none"
        raise InputError(f"edge is {t}; the edges inside T={T} steps are {inside}")
    return int(t)


def check_factor(t: int, factor) -> float:
    """What ``Backward.carry`` may be."""
    if not is_factor(factor):
        raise InputError(f"factor at {t} is {shown(factor)}; needs a finite number of at least 0")
    return float(factor)


def artbp(T: int, probabilities: Mapping[int, float], cuts: Iterable[int]) -> Schedule:
    """The schedule of one truncation that was drawn: cut at ``cuts``, reweighted elsewhere.

    Anticipated reweighted truncated backpropagation: Tallec & Ollivier 2017, arXiv:1705.08209,
    section 3. probabilities: edge t (1 … T−1) -> probability c_t < 1 of a cut there, given the
    cuts before. Where there is none, the gradient that crosses is multiplied by 1/(1 − c_t): over
    the draw of the cuts the mean of the gradient is that of full backpropagation.
    """
    chances = named("probabilities", probabilities).items()
    crossing = {t: 1 / (1 - check_probability(c)) for t, c in chances}
    if not isinstance(cuts, Iterable) or isinstance(cuts, str):
        raise InputError(f"cuts are {shown(cuts)}; need the edges that were cut")
    cuts = [check_count("cut", t) for t in cuts]
    for t in cuts:
        if t not in crossing:
            raise InputError(f"cut at {t}; that edge has no probability")
    return weighted(T, crossing | dict.fromkeys(cuts, 0.0))


def random_truncation(
    T: int, chance: Chance, rng: np.random.Generator | int, spacing: int = 1
) -> Schedule:
    """``artbp`` with cuts drawn at random.

    chance: the probability c of a cut, for every edge; or a list of one for each edge; or a
    callable of the number of steps since the last cut (or the start), for it may depend on the
    cuts before. spacing: edges lie at its multiples (chunks of that many steps). rng: a
    generator, or a seed.
    """
    edges, chance_at = check_chance(T, chance, spacing)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(check_count("rng", rng, 0))
    probabilities, cuts, last = {}, set(), 0
    for place, t in enumerate(edges):
        probabilities[t] = chance_at(place, t - last)
        if rng.random() < probabilities[t]:
            cuts.add(t)
            last = t
    return artbp(T, probabilities, cuts)


def every_truncation(T: int, chance: Chance, spacing: int = 1) -> Iterator[tuple[float, Schedule]]:
    """(probability, schedule) of everything that ``random_truncation`` may draw, 2 to the number of
    edges: the mean of the gradients, so weighted, is the full gradient.

    InputError for more than MOST_EDGES edges.
    """
    edges, chance_at = check_chance(T, chance, spacing)
    if len(edges) > MOST_EDGES:
        raise InputError(f"{len(edges)} edges; all truncations of at most {MOST_EDGES} are listed")
    for choice in itertools.product((False, True), repeat=len(edges)):
        probabilities, last, weight = {}, 0, 1.0
        for place, (t, cut) in enumerate(zip(edges, choice, strict=True)):
            c = probabilities[t] = chance_at(place, t - last)
            weight *= c if cut else 1 - c
            last = t if cut else last
        yield weight, artbp(T, probabilities, itertools.compress(edges, choice))


def check_chance(T: int, chance: Chance, spacing: int) -> tuple[range, Callable[[int, int], float]]:
    """The edges, and (place among them, steps since the last cut) -> probability."""
    T, spacing = check_count("T", T), check_count("spacing", spacing)
    edges = range(spacing, T, spacing)
    if callable(chance):
        return edges, lambda place, since: check_probability(chance(since))
    given = as_array("chance", chance)
    if given.ndim == 0:
        c = check_probability(given.item())
        return edges, lambda place, since: c
    if given.shape != (len(edges),):
        raise InputError(
            f"chance has shape {given.shape}; T={T} steps have {len(edges)} edges {spacing} apart"
        )
    each = [check_probability(c) for c in given.tolist()]
    return edges, lambda place, since: each[place]


def check_probability(c) -> float:
    """0 ≤ c < 1: at 1 no gradient would ever cross, and no factor make up for it."""
    number = isinstance(c, int | float | np.integer | np.floating) and not isinstance(c, bool)
    if not number or not 0 <= c < 1 or math.isnan(c):
        raise InputError(f"probability of a cut is {shown(c)}; needs at least 0, below 1")
    return float(c)
