"""What the gates of a cell do at each character of a text: the values that a step keeps by name.

A cell's spec names what each stage saves for the backward pass (gates after their activation, most
of it); the plain target's tape holds them. Low and high shares of a gate are the left- and right-
saturated fractions of Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078, section 4.2.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.errors import InputError, shown, unknown
from rnnbench.plain import PlainTarget
from rnnbench.spec import Cell

LOW, HIGH = 0.1, 0.9


def signal_names(cell: str | Cell) -> list[str]:
    """All that can be looked at: each stage's saves, then the new states as ``h'``, ``c'``."""
    spec = get_cell(cell).spec
    states = [f"{name}'" for name in spec.state_names]
    saves = [name for stage in spec.stages for name in stage.saves]
    return [*dict.fromkeys(name for name in saves if name not in states), *states]


def gate_names(cell: str | Cell) -> list[str]:
    """The saves that are gates; of a cell that saves no gate by its name, all saves, or states."""
    spec = get_cell(cell).spec
    names = signal_names(cell)
    saves = names[: -len(spec.states)]
    return [name for name in saves if name in spec.gates] or saves or names


def check_signals(cell: str | Cell, names: list[str]) -> list[str]:
    """The names, or the gates where there are none. InputError for one the cell has not."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError(f"names are {shown(names)}; need a list of names")
    names = list(names)
    allowed = signal_names(cell)
    for name in names:
        if name not in allowed:
            raise unknown(f"gate of {get_cell(cell).name}", name, allowed)
    return list(dict.fromkeys(names)) or gate_names(cell)


def signals(
    cell: str | Cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    names: list[str],
    state: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Name -> (T,B,width): the values at each step of x (T,B,I), of those names.

    names: of ``signal_names``. Runs on the plain target, whose tape can be read. InputError for an
    unknown name, and for whatever ``forward`` refuses.
    """
    cell = get_cell(cell)
    names = check_signals(cell, names)
    run = PlainTarget().forward(cell, params, x, state, None, inputs)
    found = {f"{name}'": history[1:] for name, history in run.states.items()}
    for k, stage in enumerate(cell.spec.stages):
        shape = (run.y.shape[1], run.tape.problem.sizes[stage.width])
        for i, name in enumerate(stage.saves):
            steps = [np.broadcast_to(saved[k][i], shape) for saved in run.tape.saved]
            found.setdefault(name, np.stack(steps))
    return {name: np.array(found[name]) for name in names}


def saturation(values: np.ndarray) -> dict[str, float | None]:
    """mean, least, most; low and high: the shares below 0.1 and above 0.9, None for values that
    leave [0, 1]: no gate's."""
    least, most = float(values.min()), float(values.max())
    gate = 0 <= least and most <= 1
    return {
        "mean": float(values.mean()),
        "least": least,
        "most": most,
        "low": float((values < LOW).mean()) if gate else None,
        "high": float((values > HIGH).mean()) if gate else None,
    }
