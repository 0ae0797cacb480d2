"""Gradient algorithms as plain data: lists of steps that ``runner.run`` carries out in order.

A step names a chunk [t0, t1) of the sequence, or an edge t, the place between the steps t−1 and t.
There is one current state, at first the initial one: ``Forward`` moves it from t0 to t1 and may
leave a tape, ``Save`` and ``Restore`` keep it and come back to it. ``Backward`` goes through a
tape. What makes one algorithm differ from another is the order of the steps, and how much of a
gradient crosses an edge.

Nothing is dropped by hand: a tape is held until the last Backward through it, a saved state until
its last Restore (``uses``). So what a schedule costs can be read from it (``cost``).
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError, shown

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Forward:
    """Run steps t0 … t1-1 from the current state, which is then the one at t1.

    keep: with a tape, for Backward; one of an earlier run of the same chunk is replaced.
    """

    t0: int
    t1: int
    keep: bool = True


@dataclass(frozen=True)
class Save:
    """Keep the current state, the one at edge t."""

    t: int


@dataclass(frozen=True)
class Restore:
    """Make the state that was saved at edge t the current one."""

    t: int


@dataclass(frozen=True)
class Backward:
    """Backpropagate through steps t1-1 … t0 by the tape of exactly that chunk.

    carry: the factor on the gradient at t1, which is what the chunk that begins there sent back
    last, and which is used up. 1 (True) carries it, 0 (False) cuts: the state that crosses t1
    counts as a constant. At the sequence's end the gradient is that of the final state.
    loss: whether this pass takes the losses of its steps, and at the sequence's end of the final
    state. Each is taken once; a pass without only hands on what arrives at t1.
    """

    t0: int
    t1: int
    carry: float
    loss: bool = True


Step = Forward | Save | Restore | Backward
Schedule = list[Step]
USUAL = {(Save, int), (Restore, int), (Forward, int, int, bool)}
USUAL |= {(Backward, int, int, carry, bool) for carry in (bool, int, float)}


class Uses(NamedTuple):
    """Places in a schedule. last: of each Backward or Restore after which nothing needs its tape or
    its saved state; sends: of each Backward whose gradient at t0 a later one carries on."""

    last: set[int]
    sends: set[int]


class Cost(NamedTuple):
    """What a schedule takes, in time steps of the sequence and in states.

    forward: steps run forward, with or without a tape; recomputed: how many of them not for the
    first time; backward: steps gone back through; states: the most saved states held at a time
    (the initial one counts where it is saved); taped: the most steps on tapes at a time.
    """

    forward: int
    recomputed: int
    backward: int
    states: int
    taped: int


def full(T: int, k: int | None = None) -> Schedule:
    """Full backpropagation through T steps (Werbos 1990), all on tapes at once.

    k: in chunks of k steps, counted from the end (the first may be shorter), the gradient carried
    across each edge: the same gradient; ``run(…, through=…)`` sees it at those edges.
    """
    T = check_count("T", T)
    k = T if k is None else check_count("k", k)
    chunks = list(itertools.pairwise(sorted({0, *range(T, 0, -k)})))
    steps: Schedule = [Forward(*chunk) for chunk in chunks]
    return steps + [Backward(t0, t1, carry=t1 < T) for t0, t1 in reversed(chunks)]


def chunked(T: int, k: int) -> Schedule:
    """Truncated backpropagation: chunks of k steps, the state carried, its gradient cut.

    Williams & Peng 1990 with k1 = k2 = k. The last chunk may be shorter; k ≥ T is ``full(T)``.
    One chunk's tape is held at a time. InputError unless T and k are whole numbers ≥ 1.
    """
    T, k = check_count("T", T), check_count("k", k)
    steps: Schedule = []
    for t0 in range(0, T, k):
        t1 = min(t0 + k, T)
        steps += [Forward(t0, t1), Backward(t0, t1, carry=False)]
    return steps


def check_schedule(schedule: Sequence[Step], T: int) -> Schedule:
    """The schedule as a list. InputError unless it hangs together and covers [0, T) exactly.

    Each step is run for the first time in order, from the state at its place; each tape and each
    saved state is there when it is used, and is used; each step's loss is taken once; a carried
    gradient was sent, and is used once.
    """
    schedule = check_steps(schedule)
    walk = _Walk(T)
    for step in schedule:
        walk.take(step)
    walk.end()
    return schedule


def check_steps(schedule: Sequence[Step]) -> Schedule:
    """The schedule as a list of steps whose edges are ints. InputError for anything else."""
    if not isinstance(schedule, Sequence) or isinstance(schedule, str):
        raise InputError(f"schedule is a {type(schedule).__name__}; needs a list of steps")
    return [check_step(step) for step in schedule]


def is_factor(value) -> bool:
    """Is it a finite number of at least 0, or a truth, as ``Backward.carry`` needs?"""
    value = value.item() if isinstance(value, np.generic) else value
    return isinstance(value, int | float) and 0 <= value <= LARGEST


def check_step(step: Step) -> Step:
    """With edges as ints (narrow ones of NumPy would overflow), flags as bools, carry a float."""
    types = (type(step), *map(type, vars(step).values())) if isinstance(step, Step) else ()
    if types in USUAL and (types[0] is not Backward or 0 <= step.carry <= LARGEST):
        return step
    if type(step) not in (Forward, Save, Restore, Backward):
        raise InputError(
            f"schedule holds a {type(step).__name__}; needs Forward, Save, Restore or Backward"
        )
    checked = {}
    for name, value in vars(step).items():
        if name in ("t", "t0", "t1"):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise InputError(f"{shown(step)}: {shown(value)} is no step; needs a whole number")
            checked[name] = int(value)
        elif name == "carry":
            if not is_factor(value):
                raise InputError(f"{shown(step)}: carry needs a finite number of at least 0")
            checked[name] = value if isinstance(value, bool) else float(value)
        else:
            if not isinstance(value, bool | np.bool_):
                raise InputError(f"{shown(step)}: {name} is {shown(value)}; needs True or False")
            checked[name] = bool(value)
    return type(step)(**checked)


class _Walk:
    """A schedule of checked steps carried out without arrays: what is where, what was done."""

    def __init__(self, T: int):
        self.T = T
        self.now = self.reached = 0  # the current state's edge; the steps run so far
        self.taped, self.saved = set(), set()
        self.waiting = set()  # tapes and saved states that were not used yet
        self.sent = set()  # edges where a gradient arrived and was not carried on yet
        self.lost = bytearray(b"\1") * T  # 1: the step's loss was not taken yet
        self.kinds = {Forward: self.forward, Save: self.save, Restore: self.restore}
        self.kinds[Backward] = self.backward

    def take(self, step: Step) -> None:
        self.kinds[type(step)](step)

    def forward(self, step: Forward) -> None:
        if step.t0 != self.now or not step.t0 < step.t1 <= self.T:
            raise InputError(
                f"{step} comes when the state is at {self.now} of T={self.T}; a chunk begins there"
            )
        if step.t0 < self.reached < step.t1:
            raise InputError(f"{step} runs old and new steps; {self.reached} have run before")
        self.now = step.t1
        self.reached = max(self.reached, step.t1)
        if step.keep:
            self.made(self.taped, (step.t0, step.t1), step)

    def save(self, step: Save) -> None:
        if step.t != self.now:
            raise InputError(f"{step} comes when the state is at {self.now}")
        self.made(self.saved, step.t, step)

    def made(self, kept: set, key, step: Step) -> None:
        if key in self.waiting:
            raise InputError(f"{step} replaces one that nothing has used")
        kept.add(key)
        self.waiting.add(key)

    def restore(self, step: Restore) -> None:
        if step.t not in self.saved:
            raise InputError(f"{step}: no state was saved there")
        self.waiting.discard(step.t)
        self.now = step.t

    def backward(self, step: Backward) -> None:
        t0, t1 = step.t0, step.t1
        if (t0, t1) not in self.taped:
            raise InputError(f"{step} has no tape; a Forward of the same chunk has to keep one")
        if not step.carry and not step.loss:
            raise InputError(f"{step} takes no loss and carries nothing")
        if step.carry:
            if t1 not in self.sent:
                raise InputError(f"{step} carries a gradient that no later chunk has sent")
            self.sent.remove(t1)
        if step.loss:
            if 0 in self.lost[t0:t1]:
                first = t0 + self.lost[t0:t1].index(0)
                raise InputError(f"{step} takes the loss of step {first} a second time")
            self.lost[t0:t1] = bytes(t1 - t0)
        self.waiting.discard((t0, t1))
        self.sent.add(t0)

    def end(self) -> None:
        if self.reached != self.T:
            raise InputError(f"schedule covers {self.reached} steps; the sequence has T={self.T}")
        for key in self.waiting:
            what = f"restores the state at {key}"
            if isinstance(key, tuple):
                what = f"goes back through the chunk [{key[0]}, {key[1]})"
            raise InputError(f"schedule never {what}")
        if 1 in self.lost:
            raise InputError(f"schedule never takes the loss of step {self.lost.index(1)}")


def uses(schedule: Sequence[Step]) -> Uses:
    """Of a schedule that was checked: when what it holds may go."""
    last, sends = set(), set()
    later = set()  # what is used further on: tapes (t0, t1), saved states t, gradients ("at", t)
    for place in range(len(schedule) - 1, -1, -1):
        step = schedule[place]
        if isinstance(step, Forward):
            if step.keep:
                later.discard((step.t0, step.t1))
        elif isinstance(step, Save):
            later.discard(step.t)
        else:
            key = step.t if isinstance(step, Restore) else (step.t0, step.t1)
            if key not in later:
                last.add(place)
                later.add(key)
        if isinstance(step, Backward):
            if ("at", step.t0) in later:
                later.remove(("at", step.t0))
                sends.add(place)
            if step.carry:
                later.add(("at", step.t1))
    return Uses(last, sends)


def cost(schedule: Sequence[Step]) -> Cost:
    """What a schedule takes. InputError where it does not hang together."""
    schedule = check_steps(schedule)
    ends = [step.t1 for step in schedule if isinstance(step, Forward)]
    if not ends:
        raise InputError("schedule runs no step")
    T = max(ends)
    last = uses(check_schedule(schedule, T)).last
    forward = backward = states = taped = most_states = most_taped = 0
    for place, step in enumerate(schedule):
        length = step.t1 - step.t0 if isinstance(step, Forward | Backward) else 1
        if isinstance(step, Forward):
            forward += length
            taped += length * step.keep
        elif isinstance(step, Backward):
            backward += length
            taped -= length * (place in last)
        else:
            states += 1 if isinstance(step, Save) else -(place in last)
        most_states, most_taped = max(most_states, states), max(most_taped, taped)
    return Cost(forward, forward - T, backward, most_states, most_taped)
