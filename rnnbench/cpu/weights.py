"""The parameters as the steps read them, beside the packed panels: biases and values by unit."""

import numpy as np

from rnnbench.cpu.frame import Frame, WeightsLayout
from rnnbench.cpu.memory import Block
from rnnbench.cpu.tile import lanes
from rnnbench.spec import SCALAR


def bias_view(frame: Frame, k: int, memory: Block, offset: int) -> np.ndarray:
    """(groups, slots, Q, lanes) of stage k."""
    s, v = frame.stages[k], lanes(frame.dtype)
    return memory.view((s.groups, s.slots, s.q, v), frame.dtype, offset)


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
    plan, spec, v = frame.plan, frame.cell.spec, lanes(frame.dtype)
    for k, s in enumerate(frame.stages):
        bias = bias_view(frame, k, memory, layout.biases[k].offset)
        bias.fill(0)
        for stage, name, gates, places in plan.bias_terms:
            if stage == k:
                rows = by_units(params[name].reshape(-1, s.width)[gates], s.groups * s.q, v)
                bias[:, places] += rows.reshape(-1, s.groups, s.q, v).swapaxes(0, 1)
        units = unit_view(frame, k, memory, layout.units[k].offset)
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            if spec.parameter(name).kind == SCALAR:
                values = np.full(s.width, params[name], frame.dtype)
            else:
                values = params[name][row]
            units[:, j] = by_units(values, s.vectors, v)


def read_small(frame: Frame, scratch: Block, layout, gradients: dict[str, np.ndarray]) -> None:
    """The gradients of biases and of unit values, from what backward left; ``layout``: its."""
    plan, spec, v, dtype = frame.plan, frame.cell.spec, lanes(frame.dtype), np.dtype(frame.dtype)
    for k, s in enumerate(frame.stages):
        dbias = bias_view(frame, k, scratch, layout.dbiases[k].offset)
        for stage, name, gates, places in plan.bias_terms:
            if stage == k:
                rows = dbias[:, places].swapaxes(0, 1).reshape(len(places), -1)
                gradients[name].reshape(-1, s.width)[gates] += rows[:, : s.width]
        if not s.units:
            continue
        shape = (s.vectors, frame.B, s.units, v)
        total = scratch.view(shape, dtype, layout.dunits[k].offset).sum(axis=1)
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            part = total[:, j].reshape(-1)[: s.width]
            if spec.parameter(name).kind == SCALAR:
                gradients[name] += part.sum(dtype=dtype)
            else:
                gradients[name][row] += part
