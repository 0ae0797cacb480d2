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
    """A (width,) array as (vectors, lanes), zeros past the width."""
    if values.size == vectors * v:
        return values.reshape(vectors, v)
    full = np.zeros(vectors * v, values.dtype)
    full[: values.size] = values
    return full.reshape(vectors, v)


def write_small(frame: Frame, layout: WeightsLayout, params, memory: Block) -> None:
    """Biases and unit values into the weights' memory; the kernels pack the matrices."""
    plan, spec, v = frame.plan, frame.cell.spec, lanes(frame.dtype)
    for k, s in enumerate(frame.stages):
        bias = bias_view(frame, k, memory, layout.biases[k].offset)
        bias.fill(0)
        for stage, name, gate, place in plan.biases:
            if stage == k:
                row = params[name][gate * s.width : (gate + 1) * s.width]
                bias[:, place] += by_units(row, s.groups * s.q, v).reshape(s.groups, s.q, v)
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
        for stage, name, gate, place in plan.biases:
            if stage == k:
                part = dbias[:, place].reshape(-1)[: s.width]
                gradients[name][gate * s.width : (gate + 1) * s.width] += part
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
