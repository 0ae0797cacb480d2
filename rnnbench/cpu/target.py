"""The CPU target: hands memory and tables to the kernels, and results back."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_count
from rnnbench.cpu.frame import Frame
from rnnbench.cpu.layout import BackwardLayout, ForwardLayout
from rnnbench.cpu.matmul import matmul
from rnnbench.cpu.memory import Block, Recycler, Scratch, address
from rnnbench.cpu.slopes import linearise
from rnnbench.cpu.table import (
    APART,
    BLOCKS,
    DY_ROW,
    DY_T,
    FINISH,
    GOES_ON,
    ROW_PARTS,
    UNIT_PARTS,
    X_ROW,
    X_T,
    bases,
)
from rnnbench.cpu.threads import ALONE, available, team_of
from rnnbench.errors import InputError
from rnnbench.linearised import Linearised
from rnnbench.problem import Prepared, Problem, check_upstream
from rnnbench.target import Forward, Gradients, Target


@dataclass(frozen=True)
class Tape:
    """What backward needs. sources: state histories and products; kept: saves, x, per-step inputs
    and the matrices as the gradient reads them, so that the caller may change what he gave."""

    problem: Problem
    layout: ForwardLayout
    sources: Block
    kept: Block
    weights: Block


class Sums(NamedTuple):
    """What backward summed on the way to the parameters' gradients."""

    layout: BackwardLayout
    memory: Block

    def finish(self) -> None:
        """Make the gradients of it, where ``go_back`` was not told that it was the last."""
        places = bases(gradients=self.memory.address) + [0] * self.layout.given
        table = self.layout.table.at(places, False)
        table[BLOCKS], table[ROW_PARTS], table[UNIT_PARTS], table[FINISH] = 0, 1, 1, 1
        ALONE.run(self.layout.code, table)

    def gradients(self) -> dict[str, np.ndarray]:
        """By the parameters' names; views."""
        layout, dtype = self.layout, np.dtype(self.layout.frame.dtype)
        view = self.memory.view
        return {name: view(shape, dtype, offset) for name, shape, offset in layout.gradients}


@functools.lru_cache(maxsize=64)
def frame_of(cell, sizes, T, B, dtype, threads) -> Frame:
    return Frame(cell, sizes, T, B, dtype.name, threads)


@functools.lru_cache(maxsize=64)
def forward_layout(frame: Frame, threads: int, *options: bool) -> ForwardLayout:
    return ForwardLayout(frame, threads, *options)


@functools.lru_cache(maxsize=64)
def backward_layout(taped: ForwardLayout, threads: int) -> BackwardLayout:
    return BackwardLayout(taped, threads)


class CPUTarget(Target):
    """Numba kernels on ``threads`` threads (default: the processors this process may use)."""

    name = "cpu"
    Tape = Tape
    copies = False
    by_rows = True

    def __init__(self, threads: int | None = None):
        self.threads = available() if threads is None else check_count("threads", threads)
        self.memory, self.scratch = Recycler(), Scratch()

    # -- forward ---------------------------------------------------------------------------

    def run_forward(self, problem: Problem, keep: bool, ready: Prepared | None) -> Forward:
        p = problem
        frame = frame_of(p.cell, tuple(p.sizes.items()), p.T, p.B, p.dtype, self.threads)
        packed = ready is not None and ready.packed is not None
        with team_of(frame.wanted) as team:
            layout = forward_layout(frame, team.parts, keep, ready is not None, packed)
            sources = self.memory.take(layout.sources.size)
            kept = self.memory.take(layout.kept.size)
            scratch = self.scratch.take(layout.scratch.size)
            if packed:
                weights, panels = ready.packed
            else:
                weights = self.memory.take(layout.weights.size)
                panels = self.memory.take(layout.panels.size)
            if layout.x is not None and not layout.by_kernel:
                self.copy_x(layout, p, kept if keep else scratch)
            # what copies x takes any rows, what only reads it rows one after the other
            x = p.x if layout.x is not None else np.ascontiguousarray(p.x)
            places = bases(
                sources=sources.address,
                kept=kept.address,
                weights=weights.address,
                panels=panels.address,
                scratch=scratch.address,
                x=address(x),
                lengths=layout.lengths(p),
                barriers=team.barriers,
            )
            if layout.reads_parameters:
                places += [address(array) for array in p.params.values()]
            else:
                places += [0] * layout.parameters
            places += [address(array) for array in (*p.state.values(), *p.inputs.values())]
            table = layout.table.at(places, p.valid is not None)
            if layout.by_kernel:
                table[X_T] = p.B * table[X_ROW]
                if not x.flags.c_contiguous:  # else an axis of length 1 may have any stride
                    table[X_T], table[X_ROW], table[APART] = *x.strides[:2], 1
            team.run(layout.code, table)
        if ready is not None:
            ready.packed = weights, panels
        tape = Tape(p, layout, sources, kept, weights) if keep else None
        return self.result(p, layout, sources, tape)

    def copy_x(self, layout: ForwardLayout, p: Problem, memory: Block) -> None:
        """x in rows of whole vectors, for a cell that adds x itself."""
        inside = p.x.shape[2]
        shape = (p.T, p.B, layout.frame.source_vectors(-1) * layout.lanes)
        x = memory.view(shape, p.dtype, layout.x.offset)
        x[:, :, :inside] = p.x
        x[:, :, inside:] = 0

    def result(self, p: Problem, layout: ForwardLayout, sources, tape) -> Forward:
        """Views of the tape; copies only where a state's width is no whole number of vectors, and
        of y where padding must be zeroed."""
        states = {}
        for name, shape, offset, narrow in layout.states:
            history = sources.view(shape, p.dtype, offset)
            states[name] = history if narrow is None else history[:, :, :narrow].copy()
        y = states[p.spec.output][1:]
        if p.valid is not None:
            y = np.where(p.valid[:, :, None], y, p.dtype.type(0))
        return Forward(y, states, tape)

    # -- backward --------------------------------------------------------------------------

    def run_backward(self, tape: Tape, dy: np.ndarray, dstate: dict) -> Gradients:
        sums, x, initial = self.go_back(tape, dy, dstate)
        return Gradients(sums.gradients(), x, initial)

    def accumulator(self) -> "Accumulator":
        return Accumulator(self)

    def go_back(self, tape: Tape, dy, dstate, sums: Sums | None = None, last: bool = True):
        """(the parameters' gradients as they are summed, x's, the initial states'). sums: those of
        the steps that came after, to which these are added; last: there are none before."""
        p, frame = tape.problem, tape.layout.frame
        with team_of(frame.wanted) as team:
            layout = backward_layout(tape.layout, team.parts)
            scratch = self.scratch.take(layout.scratch.size)
            goes_on = sums is not None
            memory = sums.memory if goes_on else self.memory.take(layout.sums_size)
            dx = self.memory.take(layout.dx.size)
            if layout.padded_dy:
                wide = scratch.view(layout.dy_shape, p.dtype, layout.dy.offset)
                wide[:, :, : dy.shape[2]] = dy
                wide[:, :, dy.shape[2] :] = 0
            initial = {name: np.empty(d.shape, p.dtype) for name, d in dstate.items()}
            places = bases(
                sources=tape.sources.address,
                kept=tape.kept.address,
                weights=tape.weights.address,
                scratch=scratch.address,
                dy=address(dy),
                lengths=layout.lengths(p),
                barriers=team.barriers,
                gradients=memory.address,
                dx=dx.address,
            )
            places += [address(array) for array in (*dstate.values(), *initial.values())]
            table = layout.table.at(places, p.valid is not None)
            table[GOES_ON], table[FINISH] = goes_on, last
            if not layout.padded_dy:
                table[DY_T], table[DY_ROW] = dy.strides[:2]
            team.run(layout.code, table)
        x = dx.view(layout.x_shape, p.dtype)
        if layout.narrow_x:
            x = x[:, :, : p.x.shape[2]].copy()
        if p.valid is not None:
            x[~p.valid] = 0
        return Sums(layout, memory), x, initial

    def linearise(self, tape: Tape) -> Linearised:
        """The local slopes of the steps that left ``tape`` (rnnbench/linearised.py)."""
        self.check_tape(tape)
        return linearise(tape)

    def run_matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return matmul(a, b, self.threads)


class Accumulator:
    """The parameters' gradients of a sequence that is gone through in parts, the last one first:
    the same bits as in one go, wherever the parts' edges are.

    All parts are of one cell, with the same sizes, batch and dtype.
    """

    def __init__(self, target: CPUTarget):
        self.target, self.problem, self.sums = target, None, None

    def backward(self, tape: Tape, dy=None, dstate=None) -> Gradients:
        """As of ``Target.backward``, but for the parameters' gradients, which are None."""
        self.target.check_tape(tape)
        p, first = tape.problem, self.problem
        if first is not None and self.alike(p) != self.alike(first):
            raise InputError("the parts of a sequence differ in cell, sizes, batch or dtype")
        self.problem = p
        upstream = check_upstream(p, dy, dstate, by_rows=True)
        self.sums, x, initial = self.target.go_back(tape, *upstream, self.sums, last=False)
        return Gradients(None, x, initial)

    @staticmethod
    def alike(p: Problem) -> tuple:
        return p.cell, p.sizes, p.B, p.dtype

    def result(self) -> dict[str, np.ndarray]:
        """The parameters' gradients; InputError where nothing was gone through."""
        if self.sums is None:
            raise InputError("no part of the sequence was gone through")
        self.sums.finish()
        found = Gradients(self.sums.gradients(), None, None)
        return self.target.trained(self.problem, found).params
