"""The CPU target: hands memory and tables to the kernels, and results back."""

import functools
from dataclasses import dataclass

import numpy as np

from rnnbench.checks import check_count
from rnnbench.cpu.frame import Frame
from rnnbench.cpu.layout import BackwardLayout, ForwardLayout
from rnnbench.cpu.matmul import matmul
from rnnbench.cpu.memory import Block, Recycler, Scratch, address
from rnnbench.cpu.table import Base
from rnnbench.cpu.threads import available, team_of
from rnnbench.cpu.tile import lanes
from rnnbench.cpu.weights import read_small, write_small
from rnnbench.problem import Prepared, Problem
from rnnbench.spec import MATRIX
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
            bases[Base.X], bases[Base.LENGTHS] = address(p.x), address(p.lengths)
            bases[Base.PANELS], bases[Base.BARRIERS] = panels.address, team.barriers
            if keep or not packed:
                bases += [address(p.params[parameter.name]) for parameter in p.spec.parameters]
            else:
                bases += [0] * len(p.spec.parameters)
            team.run(layout.code, layout.table.at(bases, p.valid is not None))
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
        p, frame, v = tape.problem, tape.layout.frame, lanes(tape.problem.dtype)
        with team_of(frame.wanted) as team:
            layout = backward_layout(tape.layout, team.parts)
            scratch = self.scratch.take(layout.scratch.size)
            gradients = self.memory.take(layout.gradients_size)
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
            params = {}
            for spec in p.spec.parameters:
                place, shape = layout.places[spec.name], spec.shape(p.sizes)
                params[spec.name] = gradients.view(shape, p.dtype, place.offset)
                if spec.kind != MATRIX or spec.name in layout.shared:
                    params[spec.name].fill(0)
            bases = [0] * (Base.PARAMETERS + len(p.spec.parameters))
            bases[Base.SOURCES], bases[Base.KEPT] = tape.sources.address, tape.kept.address
            bases[Base.WEIGHTS], bases[Base.SCRATCH] = tape.weights.address, scratch.address
            bases[Base.DY], bases[Base.LENGTHS] = address(dy), address(p.lengths)
            bases[Base.GRADIENTS], bases[Base.DX] = gradients.address, dx.address
            bases[Base.BARRIERS] = team.barriers
            team.run(layout.code, layout.table.at(bases, p.valid is not None))
        read_small(frame, scratch, layout, params)
        initial = {
            name: running[j][p.T % 2, :, : frame.columns(j)].copy()
            for j, name in enumerate(p.spec.state_names)
        }
        x = dx.view((p.T, p.B, frame.source_vectors(-1) * v), p.dtype)
        x = np.ascontiguousarray(x[:, :, : p.x.shape[2]])
        if p.valid is not None:
            x[~p.valid] = 0
        return Gradients(params, x, initial)

    def run_matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return matmul(a, b)
