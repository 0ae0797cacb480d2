"""The parameters as the steps read them, beside the packed panels: biases and values by unit."""

import functools
from typing import NamedTuple

import numpy as np

from rnnbench.cpu.frame import Frame, WeightsLayout
from rnnbench.cpu.memory import Block
from rnnbench.cpu.tile import lanes
from rnnbench.spec import MATRIX, SCALAR


class BiasTerm(NamedTuple):
    """A stage's slots += gates (row blocks) of a parameter. whole: they are all of it, in order;
    alone: nothing was added to these slots before; at: where each number lies among the stage's
    biases (groups, slots, Q, lanes)."""

    stage: int
    name: str
    gates: list[int]
    whole: bool
    alone: bool
    at: np.ndarray


@functools.lru_cache(maxsize=64)
def bias_terms(frame: Frame) -> list[BiasTerm]:
    found, filled = [], set()
    for k, name, gates, places in frame.plan.bias_terms:
        s, v = frame.stages[k], lanes(frame.dtype)
        unit, place = np.arange(s.width), np.array(places)[:, None]
        group, vector = unit // (s.q * v), unit // v % s.q
        at = ((group * s.slots + place) * s.q + vector) * v + unit % v
        whole = gates == list(range(len(frame.cell.spec.parameter(name).gates)))
        alone = filled.isdisjoint((k, p) for p in places)
        filled |= {(k, p) for p in places}
        found.append(BiasTerm(k, name, gates, whole, alone, at.reshape(-1)))
    return found


def biases(frame: Frame, k: int, memory: Block, offset: int) -> np.ndarray:
    """Those of stage k, one after the other."""
    s = frame.stages[k]
    return memory.view((s.groups * s.line // frame.itemsize,), frame.dtype, offset)


def unit_view(frame: Frame, k: int, memory: Block, offset: int) -> np.ndarray:
    """(vectors, units, lanes) of stage k."""
    s, v = frame.stages[k], lanes(frame.dtype)
    return memory.view((s.vectors, s.units, v), frame.dtype, offset)


def by_units(values: np.ndarray, vectors: int, v: int) -> np.ndarray:
    """(…, width) as (…, vectors, lanes), zeros past the width."""
    *outer, width = values.shape
    if width != vectors * v:
        full = np.zeros((*outer, vectors * v), values.dtype)
        full[..., :width] = values
        values = full
    return values.reshape(*outer, vectors, v)


def write_small(frame: Frame, layout: WeightsLayout, params, memory: Block) -> None:
    """Biases and unit values into the weights' memory; the kernels pack the matrices."""
    spec, v = frame.cell.spec, lanes(frame.dtype)
    for k, s in enumerate(frame.stages):
        biases(frame, k, memory, layout.biases[k].offset).fill(0)
        units = unit_view(frame, k, memory, layout.units[k].offset)
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            if spec.parameter(name).kind == SCALAR:
                values = np.full(s.width, params[name], frame.dtype)
            else:
                values = params[name][row]
            units[:, j] = by_units(values, s.vectors, v)
    for term in bias_terms(frame):
        values = params[term.name]
        if not term.whole:
            values = values.reshape(-1, frame.stages[term.stage].width)[term.gates].reshape(-1)
        stage = biases(frame, term.stage, memory, layout.biases[term.stage].offset)
        if term.alone:
            stage[term.at] = values
        else:
            stage[term.at] += values


def read_sums(frame: Frame, memory: Block) -> dict[str, np.ndarray]:
    """The parameters' gradients, from what backward summed in ``memory``."""
    plan, spec, v, dtype = frame.plan, frame.cell.spec, lanes(frame.dtype), np.dtype(frame.dtype)
    sums, gradients = frame.sums, {}
    for p in spec.parameters:
        place = sums.places[p.name].offset
        gradients[p.name] = memory.view(p.shape(frame.width), dtype, place)
        if p.kind != MATRIX or p.name in sums.shared:
            gradients[p.name].fill(0)
    for run, place in zip(plan.runs, sums.matrices, strict=True):
        if run.parameter in sums.shared:
            total, columns = gradients[run.parameter], frame.source_vectors(run.source) * v
            own = memory.view((len(total), columns), dtype, place.offset)[:, : total.shape[1]]
            width = frame.stages[run.stage].width
            for gate in run.gates:
                rows = slice(gate * width, (gate + 1) * width)
                total[rows] += own[rows]
    for k, s in enumerate(frame.stages):
        if not s.units:
            continue
        shape = (s.vectors, frame.B, s.units, v)
        total = memory.view(shape, dtype, sums.units[k].offset).sum(axis=1)
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            part = total[:, j].reshape(-1)[: s.width]
            if spec.parameter(name).kind == SCALAR:
                gradients[name] += part.sum(dtype=dtype)
            else:
                gradients[name][row] += part
    for term in bias_terms(frame):
        stage = biases(frame, term.stage, memory, sums.biases[term.stage].offset)
        total = gradients[term.name].reshape(-1, frame.stages[term.stage].width)
        total[term.gates] += stage[term.at].reshape(-1, total.shape[1])
    return gradients
