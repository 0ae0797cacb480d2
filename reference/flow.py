"""Jacobians of a cell along a sequence, by the complex step, and their products.

For the diagnostics of vanishing and exploding gradients (Pascanu, Mikolov & Bengio 2013,
arXiv:1211.5063, section 2). No backward formula enters: a column of a step's Jacobian is the
imaginary part of a step taken from a state with a tiny imaginary part in one place,

    ∂s'/∂s_j = Im step(s + i ε e_j) / ε

which is exact to rounding: nothing is subtracted (Squire & Trapp, SIAM Review 1998).

Letters: T time, B batch, I input size, S numbers in all states of one sequence.
"""

from collections.abc import Mapping

import numpy as np

from .cells import get_cell
from .unroll import forward

EPSILON = 1e-30


def step_jacobian(cell, params, x, state, inputs=None) -> np.ndarray:
    """∂s'/∂s of one step: (B,S,S), [b,i,j] = ∂s'[b,i]/∂s[b,j].

    x (B,I); state: name -> (B,width); inputs: name -> (B,width) or (B,); all float64. S counts the
    states in the cell's order. The step must be analytic where it is taken.
    """
    cell = get_cell(cell)
    widths = [state[name].shape[1] for name in cell.states]
    columns = []
    for name in cell.states:
        for j in range(state[name].shape[1]):
            moved = {k: v.astype(np.complex128) for k, v in state.items()}
            moved[name][:, j] += 1j * EPSILON
            new, _ = cell.step(
                {k: p.astype(np.complex128) for k, p in params.items()},
                x.astype(np.complex128),
                moved,
                **{k: v.astype(np.complex128) for k, v in (inputs or {}).items()},
            )
            columns.append(np.concatenate([new[k].imag / EPSILON for k in cell.states], axis=1))
    jacobian = np.stack(columns, axis=2)
    assert jacobian.shape == (len(x), sum(widths), sum(widths))
    return jacobian


def step_jacobians(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Each step's (B,S,S), in time order, along the sequences x (T,B,I), all of T steps.

    Raises ValueError as `forward`, and for numbers other than float64.
    """
    cell = get_cell(cell)
    if np.asarray(x).dtype != np.float64:
        raise ValueError(f"x: dtype {np.asarray(x).dtype}, expected float64")
    run = forward(cell, params, x, state, None, inputs)
    found = []
    for t in range(len(x)):
        before = {name: history[t] for name, history in run.states.items()}
        now = {name: values[t] for name, values in (inputs or {}).items()}
        found.append(step_jacobian(cell, params, x[t], before, now))
    return found


def products(cell, jacobians: list[np.ndarray], widths: Mapping[str, int]) -> list[np.ndarray]:
    """∂h_T/∂s_t for t = T, T-1, ..., 0, each (B,H,S), h the cell's output state.

    widths: state name -> width, in the cell's order.
    """
    cell = get_cell(cell)
    first = sum(widths[name] for name in list(cell.states)[: list(cell.states).index(cell.output)])
    total = sum(widths.values())
    whole = np.broadcast_to(np.eye(total), (len(jacobians[0]), total, total))
    found = [whole]
    for jacobian in reversed(jacobians):
        whole = np.stack([whole[b] @ jacobian[b] for b in range(len(whole))])
        found.append(whole)
    return [w[:, first : first + widths[cell.output]] for w in found]


def state_gradients(
    cell, jacobians: list[np.ndarray], dy: np.ndarray, widths: Mapping[str, int]
) -> np.ndarray:
    """The gradient of Σ dy_t · y_t at the states after t steps: (T+1,B,S), slot t.

    dy (T,B,H). Every y_u with u >= t contributes by its own product of Jacobians, as the sum over
    all paths has it; nothing is carried from step to step.
    """
    cell = get_cell(cell)
    T, B = len(jacobians), len(jacobians[0])
    total = np.zeros((T + 1, B, sum(widths.values())))
    for u in range(1, T + 1):  # y_{u-1} is the output state after u steps
        for back, product in enumerate(products(cell, jacobians[:u], widths)):
            for b in range(B):
                total[u - back, b] += dy[u - 1, b] @ product[b]
    return total
