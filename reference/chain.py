"""A cell one step at a time over a single sequence, for networks that wire its steps together.

States are mappings name -> (width,); nothing here has a batch, so nothing can be masked wrongly.
"""

from collections.abc import Mapping

import numpy as np

from .unroll import backward, forward


def step(
    cell, params: Mapping, u: np.ndarray, state: Mapping, inputs: Mapping | None = None
) -> tuple[dict, object]:
    """The states after one step from u (I,), and its tape. inputs: of ``moment``."""
    before = {name: v[None] for name, v in state.items()}
    given = {name: v[None] for name, v in (inputs or {}).items()}
    run = forward(cell, params, u[None, None], before, inputs=given)
    return {name: history[-1, 0] for name, history in run.states.items()}, run.tape


def step_backward(tape, dstate: Mapping) -> tuple[dict, np.ndarray, dict]:
    """(dparams, du, dstate of the step before) from the gradient at the states after it."""
    found = backward(tape, None, {name: d[None] for name, d in dstate.items()})
    return found.params, found.x[0, 0], {name: d[0] for name, d in found.state.items()}


def of(arrays: Mapping, part: str) -> dict[str, np.ndarray]:
    """Those named ``part.name``, by name."""
    dot = len(part) + 1
    return {key[dot:]: v for key, v in arrays.items() if key.startswith(f"{part}.")}


def row(arrays: Mapping, b: int) -> dict[str, np.ndarray]:
    """One sequence's states."""
    return {name: values[b] for name, values in arrays.items()}


def moment(inputs: Mapping, t: int, b: int) -> dict[str, np.ndarray]:
    """What one sequence's step is given beside x, (1,width) or (1,) of (T,B,width) or (T,B)."""
    return {name: values[t, b : b + 1] for name, values in inputs.items()}


def accumulate(sums: dict, part: str, gradients: Mapping) -> None:
    """sums["part.name"] += gradient, for each."""
    for name, gradient in gradients.items():
        key = f"{part}.{name}"
        sums[key] = np.asarray(sums[key] + gradient)  # a scalar stays 0-d
