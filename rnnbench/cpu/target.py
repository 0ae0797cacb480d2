"""The CPU target: hands memory and tables to the kernels, and results back."""

import functools
from dataclasses import dataclass

import numpy as np

from rnnbench.checks import check_count
from rnnbench.cpu.frame import Frame
from rnnbench.cpu.layout import BackwardLayout, ForwardLayout
from rnnbench.cpu.matmul import matmul
from rnnbench.cpu.memory import Block, Recycler, Scratch, address
from rnnbench.cpu.slopes import linearise
from rnnbench.cpu.table import APART, DY_ROW, DY_T, GOES_ON, X_ROW, X_T, Base
from rnnbench.cpu.threads import available, team_of
from rnnbench.cpu.tile import lanes
from rnnbench.cpu.weights import read_sums, write_small
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
                write_small(frame, layout.weights, p.params, weights)
            self.write_given(layout, p, sources, kept, kept if keep else scratch)
            bases = [0] * Base.PARAMETERS
            bases[Base.SOURCES], bases[Base.KEPT] = sources.address, kept.address
            bases[Base.WEIGHTS], bases[Base.SCRATCH] = weights.address, scratch.address
            # what copies x takes any rows, what only reads it rows one after the other
            x = p.x if layout.x is not None else np.ascontiguousarray(p.x)
            bases[Base.X], bases[Base.LENGTHS] = address(x), address(p.lengths)
            bases[Base.PANELS], bases[Base.BARRIERS] = panels.address, team.barriers
            if keep or not packed:
                bases += [address(p.params[parameter.name]) for parameter in p.spec.parameters]
            else:
                bases += [0] * len(p.spec.parameters)
            table = layout.table.at(bases, p.valid is not None)
            if layout.by_kernel:
                table[X_T] = p.B * table[X_ROW]
                if not x.flags.c_contiguous:  # else an axis of length 1 may have any stride
                    table[X_T], table[X_ROW], table[APART] = *x.strides[:2], 1
            team.run(layout.code, table)
        if ready is not None:
            ready.packed = weights, panels
        tape = Tape(p, layout, sources, kept, weights) if keep else None
        return self.result(p, layout, sources, tape)

    def write_given(self, layout: ForwardLayout, p: Problem, sources, kept, x_memory) -> None:
        """Initial states, x where it is copied, and per-step inputs, into the call's memory."""
        frame, v = layout.frame, lanes(p.dtype)
        for j, value in enumerate(p.state.values()):
            row = frame.source_vectors(j) * v
            first = sources.view((p.B, row), p.dtype, layout.histories[j].offset)
            first[:, : value.shape[1]] = value
            if value.shape[1] < row:
                first[:, value.shape[1] :] = 0
        if layout.x is not None and not layout.by_kernel:
            inside = p.x.shape[2]
            shape = (p.T, p.B, frame.source_vectors(-1) * v)
            x = x_memory.view(shape, p.dtype, layout.x.offset)
            x[:, :, :inside] = p.x
            x[:, :, inside:] = 0
        for k, stage in enumerate(p.spec.stages):
            if stage.inputs:
                s = frame.stages[k]
                shape = (s.inputs, p.T * p.B, s.vectors * v)
                values = kept.view(shape, p.dtype, layout.inputs[k].offset)
                values[:, :, s.width :] = 0
                for i, name in enumerate(stage.inputs):
                    values[i, :, : s.width] = p.inputs[name].reshape(p.T * p.B, -1)

    def result(self, p: Problem, layout: ForwardLayout, sources, tape) -> Forward:
        """Views of the tape; y is copied only where padding must be zeroed."""
        frame, v = layout.frame, lanes(p.dtype)
        states = {}
        for j, name in enumerate(p.spec.state_names):
            shape = (p.T + 1, p.B, frame.source_vectors(j) * v)
            history = sources.view(shape, p.dtype, layout.histories[j].offset)
            width = frame.columns(j)
            # a copy only where a state's width is no whole number of vectors
            states[name] = history if width == shape[2] else history[:, :, :width].copy()
        y = states[p.spec.output][1:]
        if p.valid is not None:
            y = np.where(p.valid[:, :, None], y, p.dtype.type(0))
        return Forward(y, states, tape)

    # -- backward --------------------------------------------------------------------------

    def run_backward(self, tape: Tape, dy: np.ndarray, dstate: dict) -> Gradients:
        sums, x, initial = self.go_back(tape, dy, dstate, None)
        return Gradients(read_sums(tape.layout.frame, sums), x, initial)

    def accumulator(self) -> "Accumulator":
        return Accumulator(self)

    def go_back(self, tape: Tape, dy: np.ndarray, dstate: dict, sums: Block | None):
        """(the parameters' gradients as they are summed, x's, the initial states'). sums: those of
        the steps that came after, to which these are added; None: there are none."""
        p, frame, v = tape.problem, tape.layout.frame, lanes(tape.problem.dtype)
        with team_of(frame.wanted) as team:
            layout = backward_layout(tape.layout, team.parts)
            scratch = self.scratch.take(layout.scratch.size)
            goes_on = sums is not None
            if not goes_on:
                sums = self.memory.take(layout.sums_size)
                first, size = frame.sums.cleared
                sums.view((size,), np.uint8, first).fill(0)
            dx = self.memory.take(layout.dx.size)
            for first, size in layout.cleared:
                scratch.view((size,), np.uint8, first).fill(0)
            if layout.padded_dy:
                shape = (p.T, p.B, frame.source_vectors(layout.output) * v)
                wide = scratch.view(shape, p.dtype, layout.dy.offset)
                wide[:, :, : dy.shape[2]] = dy
                wide[:, :, dy.shape[2] :] = 0
            running = []
            for j in range(frame.plan.n_states):
                shape = (2, p.B, frame.source_vectors(j) * v)
                running.append(scratch.view(shape, p.dtype, layout.running[j].offset))
                name = frame.plan.sources[j]
                running[j][0, :, : frame.columns(j)] = dstate[name]
            bases = [0] * (Base.PARAMETERS + len(p.spec.parameters))
            bases[Base.SOURCES], bases[Base.KEPT] = tape.sources.address, tape.kept.address
            bases[Base.WEIGHTS], bases[Base.SCRATCH] = tape.weights.address, scratch.address
            bases[Base.DY], bases[Base.LENGTHS] = address(dy), address(p.lengths)
            bases[Base.GRADIENTS], bases[Base.DX] = sums.address, dx.address
            bases[Base.BARRIERS] = team.barriers
            table = layout.table.at(bases, p.valid is not None)
            table[GOES_ON] = goes_on
            if not layout.padded_dy:
                table[DY_T], table[DY_ROW] = dy.strides[:2]
            team.run(layout.code, table)
        initial = {
            name: running[j][p.T % 2, :, : frame.columns(j)].copy()
            for j, name in enumerate(p.spec.state_names)
        }
        x = dx.view((p.T, p.B, frame.source_vectors(-1) * v), p.dtype)
        x = np.ascontiguousarray(x[:, :, : p.x.shape[2]])
        if p.valid is not None:
            x[~p.valid] = 0
        return sums, x, initial

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
        self.target, self.problem, self.frame, self.sums = target, None, None, None

    def backward(self, tape: Tape, dy=None, dstate=None) -> Gradients:
        """As of ``Target.backward``, but for the parameters' gradients, which are None."""
        self.target.check_tape(tape)
        p, first = tape.problem, self.problem
        if first is not None and self.alike(p) != self.alike(first):
            raise InputError("the parts of a sequence differ in cell, sizes, batch or dtype")
        self.problem, self.frame = p, tape.layout.frame
        upstream = check_upstream(p, dy, dstate, by_rows=True)
        self.sums, x, initial = self.target.go_back(tape, *upstream, self.sums)
        return Gradients(None, x, initial)

    @staticmethod
    def alike(p: Problem) -> tuple:
        return p.cell, p.sizes, p.B, p.dtype

    def result(self) -> dict[str, np.ndarray]:
        """The parameters' gradients; InputError where nothing was gone through."""
        if self.sums is None:
            raise InputError("no part of the sequence was gone through")
        found = Gradients(read_sums(self.frame, self.sums), None, None)
        return self.target.trained(self.problem, found).params
