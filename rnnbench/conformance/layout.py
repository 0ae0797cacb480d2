"""Between rnnbench's parameters and other frameworks' layouts: by gate name, never by position."""

from collections.abc import Mapping, Sequence

import numpy as np

from rnnbench.spec import BIAS, CellSpec


def reorder(array: np.ndarray, gates: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Row blocks named ``gates`` -> the same blocks in ``order`` (a permutation of ``gates``)."""
    blocks = dict(zip(gates, np.split(array, len(gates)), strict=True))
    return np.concatenate([blocks[gate] for gate in order])


def two_biases(spec: CellSpec, params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Input-side and recurrent-side bias, each like ``b``, for frameworks that keep two.

    Where only their sum matters it is split unevenly, so that a framework that drops one, or
    takes one twice, departs. A gate with a bias of its own inside the recurrent product (a
    second bias parameter names it) gets that one.
    """
    b = params["b"]
    recurrent = b / 4  # exact: a power of two
    inputs = b - recurrent
    gates, rows = spec.parameter("b").gates, len(b) // len(spec.parameter("b").gates)
    for p in spec.parameters:
        if p.kind != BIAS or p.name == "b":
            continue
        for gate, own in zip(p.gates, np.split(params[p.name], len(p.gates)), strict=True):
            block = slice(gates.index(gate) * rows, (gates.index(gate) + 1) * rows)
            inputs[block], recurrent[block] = b[block], own
    return inputs, recurrent
