"""The one runner of gradient schedules. It knows neither the cell nor the target."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnbench.errors import InputError
from rnnbench.gradients.chunks import Upstream, check_sequence, chunks_of
from rnnbench.gradients.ends import check_ends
from rnnbench.gradients.schedule import Backward, Forward, Save, Step, check_schedule, uses
from rnnbench.layers.layer import Layer
from rnnbench.spec import Cell

SHORTEST = 16  # steps that are run at once without a tape, at least: fewer would be many calls


class Run(NamedTuple):
    """Gradients of every input, and what the forward steps left.

    params name -> array, summed over passes in the schedule's order; x (T,B,I), where several
    passes cross a step their sum; state name -> (B,width), with respect to the initial states;
    y (T,B,H); final: the final states, name -> (B,width); loss: the sum of the chunks' losses,
    None where the upstream gives none.
    """

    params: dict[str, np.ndarray]
    x: np.ndarray
    state: dict[str, np.ndarray]
    y: np.ndarray
    final: dict[str, np.ndarray]
    loss: Any


def run(
    schedule: Sequence[Step],
    target,
    cell: str | Cell | Layer,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    upstream: np.ndarray | Callable,
    state: Mapping[str, np.ndarray] | None = None,
    lengths=None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    through: Callable[[dict], Mapping] | None = None,
) -> Run:
    """Carry out a schedule over x (T,B,I).

    target: anything with the calls of ``rnnbench.target.Target``. cell: a cell, by name or
    object, or a layer; one that is not causal runs in one chunk only. params: of the cell (or
    what ``target.prepare`` made of them) or of the layer. upstream: the gradient dy (T,B,H) at y,
    or a callable ``(t0, t1, y_chunk) -> dy_chunk`` or ``-> (loss, dy_chunk)``, called in time
    order, once for each Forward that runs its steps for the first time, after it. state: name ->
    (B,width), zeros where missing. lengths (B,): 0 to T. dstate: name -> (B,width), gradient at
    the final states; it enters the chunk that ends at T, so a sequence that ended in an earlier
    chunk receives it only where the schedule carries gradients across edges. inputs: per-step
    inputs, over all T. through: maps the gradient of the states, name -> (B,width), to what goes
    on, at every edge that it is carried across (after the schedule's factor): a clip of the
    gradient that flows through time, as ``lambda g: clip_by_value(g, 1.0)``.

    Held at a time: what ``schedule.cost`` says, y and dx of all T, and the parts of a callable's
    dy that no pass took yet. Parameters' gradients are added up by the target's or the
    layer's ``accumulator`` (``layers.sums``), which may have the bits of one pass.
    InputError for a schedule that does not hang together or not cover T, and for whatever the
    target refuses.
    """
    x = check_sequence(x)
    T = len(x)
    schedule = check_schedule(schedule, T)
    whole = all((s.t0, s.t1) == (0, T) for s in schedule if isinstance(s, Forward))
    chunks = chunks_of(target, cell, params, x, lengths, inputs, whole)
    wanted = Upstream(upstream, T)
    check_ends(chunks, upstream, dstate)
    going = _Going(chunks, wanted, schedule, state, dstate, through)
    for place, step in enumerate(schedule):
        if isinstance(step, Forward):
            going.forward(step)
        elif isinstance(step, Backward):
            going.backward(place, step)
        elif isinstance(step, Save):
            going.saved[step.t] = going.now
        else:
            last = place in going.uses.last
            going.now = going.saved.pop(step.t) if last else going.saved[step.t]
    params = going.total.result()
    return Run(params, going.dx, going.dinitial, going.y, going.final, going.upstream.loss())


class _Going:
    """A run under way."""

    def __init__(self, chunks, upstream: Upstream, schedule, state, dstate, through):
        self.chunks, self.upstream, self.total = chunks, upstream, chunks.accumulator()
        self.uses, self.dstate, self.through = uses(schedule), dstate, through
        self.T = len(chunks.x)
        self.now = state  # nothing writes into a state, so that it may be kept as it is
        self.final = None
        self.reached = 0
        self.tapes, self.saved, self.edges = {}, {}, {}  # edges: t -> gradient of the states there
        self.y = self.dx = self.dinitial = None
        self.crossed = np.zeros(self.T, bool)  # the steps whose dx was begun
        taped = (s.t1 - s.t0 for s in schedule if isinstance(s, Forward) and s.keep)
        self.piece = max(SHORTEST, *taped)

    def forward(self, step: Forward) -> None:
        # steps without a tape in pieces: their states' histories are not to exceed a tape
        piece = step.t1 - step.t0 if step.keep else self.piece
        new = step.t0 == self.reached
        for t0 in range(step.t0, step.t1, piece):
            chunk = self.chunks.forward(t0, min(t0 + piece, step.t1), self.now, step.keep)
            self.now = chunk.final
            if new:
                self.put_outputs(t0, chunk.y)
            if step.keep:
                self.tapes[step.t0, step.t1] = chunk.tape
            del chunk  # or its y, a view of its tape, would live on while the next one runs
        if new:
            self.reached, self.final = step.t1, self.now
            y = self.y[step.t0 : step.t1]
            y.flags.writeable = False
            self.upstream.visit(step.t0, step.t1, y)

    def put_outputs(self, t0: int, y: np.ndarray) -> None:
        if self.y is None:
            self.y = np.empty((self.T, *y.shape[1:]), y.dtype)
        self.y[t0 : t0 + len(y)] = y

    def backward(self, place: int, step: Backward) -> None:
        chunk = step.t0, step.t1
        arriving = self.arriving(step)
        dy = self.upstream.take(*chunk) if step.loss else None
        tape = self.tapes.pop(chunk) if place in self.uses.last else self.tapes[chunk]
        found = self.total.backward(tape, dy, arriving)
        if place in self.uses.sends:
            self.edges[step.t0] = found.state
        if step.t0 == 0:
            before = self.dinitial
            self.dinitial = found.state
            if before is not None:
                self.dinitial = {name: g + before[name] for name, g in found.state.items()}
        self.put_dx(*chunk, found.x)

    def arriving(self, step: Backward) -> Mapping | None:
        """The gradient of the states at the chunk's end."""
        if not step.carry:
            return self.dstate if step.loss and step.t1 == self.T else None
        gradient, factor = self.edges.pop(step.t1), float(step.carry)
        if factor != 1:
            gradient = {name: g * factor for name, g in gradient.items()}
        if self.through is None:
            return gradient
        names = gradient.keys()
        gradient = self.through(gradient)
        if not isinstance(gradient, Mapping) or gradient.keys() != names:
            raise InputError(f"through has to return arrays by the names {', '.join(names)}")
        return gradient

    def put_dx(self, t0: int, t1: int, dx: np.ndarray) -> None:
        if self.dx is None and (t0, t1) == (0, self.T):
            self.dx = dx  # nobody else's: a copy would need the memory twice
            self.crossed[:] = True
            return
        if self.dx is None:
            self.dx = np.zeros((self.T, *dx.shape[1:]), dx.dtype)
        if self.crossed[t0:t1].any():
            self.dx[t0:t1] += dx
        else:
            self.dx[t0:t1] = dx
            self.crossed[t0:t1] = True
