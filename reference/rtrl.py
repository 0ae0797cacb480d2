"""Real-time recurrent learning in plain loops: Williams & Zipser 1989, Neural Computation 1(2).

    ∂s_t/∂θ = J_t ∂s_{t−1}/∂θ + F_t,    J_t = ∂s_t/∂s_{t−1},    F_t = ∂s_t/∂θ at a fixed s_{t−1}
    ∂L_t/∂θ = ∂L_t/∂s_t ∂s_t/∂θ

J_t and F_t come from the complex step of the cell's own ``step``: every number of the state and of
the parameters in turn is moved by an imaginary 1e-200, and the new state's imaginary part is its
derivative, exact to rounding (Squire & Trapp 1998). No ``step_backward`` is used.

Letters: T time, B batch, n all units of all states one after another, P all parameters likewise.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import checks
from .cells import get_cell
from .unroll import forward

STEP = 1e-200  # nothing is subtracted, so it may be as small as can be


class Steps(NamedTuple):
    """A sequence, linear around itself.

    J (T,B,n,n) and F (T,B,n,P), identity and zero past a sequence's end; y (T,B,H); states: name ->
    (T+1,B,width)
    """

    J: np.ndarray
    F: np.ndarray
    y: np.ndarray
    states: dict[str, np.ndarray]


class Online(NamedTuple):
    """params: name -> gradient, summed over the steps; state: name -> (B,width), with respect to
    the initial states; steps (T,P): the gradient of each step's own loss."""

    params: dict[str, np.ndarray]
    state: dict[str, np.ndarray]
    steps: np.ndarray


class NoDerivative(np.ndarray):
    """A matrix that takes what it multiplies for a constant: ``h @ R.T`` sees h's real part."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [np.asarray(v) for v in inputs]
        if "out" in options:
            options["out"] = tuple(np.asarray(v) for v in options["out"])
        if ufunc is np.matmul:
            return plain[0].real @ plain[1].real
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(NoDerivative) if isinstance(result, np.ndarray) else result

    def __array_function__(self, function, types, inputs, options):
        result = super().__array_function__(function, types, inputs, options)
        return result.view(NoDerivative) if isinstance(result, np.ndarray) else result


def linearised(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    through_matrices: bool = True,
) -> Steps:
    """J and F of every step of a sequence, all float64. through_matrices: False takes what a matrix
    multiplies for a constant in J (not in F). Raises ValueError as `forward`, and for numbers other
    than float64."""
    cell = get_cell(cell)
    if np.asarray(x).dtype != np.float64:
        raise ValueError(f"x: dtype {np.asarray(x).dtype}, expected float64")
    run = forward(cell, params, x, state, lengths, inputs)
    T, B, _ = x.shape
    lengths = checks.sequence_lengths(lengths, T, B)
    n = sum(history.shape[2] for history in run.states.values())
    P = sum(np.size(p) for p in params.values())
    J, F = np.zeros((T, B, n, n)), np.zeros((T, B, n, P))
    J[:] = np.eye(n)
    for t in range(T):
        rows = np.flatnonzero(t < lengths)
        if rows.size:
            now = {name: history[t, rows] for name, history in run.states.items()}
            given = {name: values[t, rows] for name, values in (inputs or {}).items()}
            J[t, rows], F[t, rows] = step_derivatives(
                cell, params, x[t, rows], now, given, through_matrices
            )
    return Steps(J, F, run.y, run.states)


def step_derivatives(cell, params, x, state, inputs, through_matrices=True):
    """J (B,n,n) and F (B,n,P) of one step, a column at a time."""
    params = {name: np.asarray(p, complex) for name, p in params.items()}
    state = {name: s.astype(complex) for name, s in state.items()}
    x, inputs = x.astype(complex), {name: v.astype(complex) for name, v in inputs.items()}
    fixed = params
    if not through_matrices:
        fixed = {k: p.view(NoDerivative) if p.ndim == 2 else p for k, p in params.items()}

    def moved(params, state):
        new = cell.step(params, x, state, **inputs)[0]
        parts = [np.broadcast_to(np.asarray(new[s]).imag, state[s].shape) for s in cell.states]
        return np.concatenate(parts, axis=1) / STEP

    J = []
    for name, values in state.items():
        for unit in range(values.shape[1]):
            changed = values.copy()
            changed[:, unit] += 1j * STEP
            J.append(moved(fixed, state | {name: changed}))
    F = []
    for name, values in params.items():
        for index in np.ndindex(values.shape):
            changed = values.copy()
            changed[index] += 1j * STEP
            F.append(moved(params | {name: changed}, state))
    return np.stack(J, axis=2), np.stack(F, axis=2)


def signals(cell, steps: Steps, dy, dstate=None) -> np.ndarray:
    """∂L_t/∂s_t (T,B,n): dy (T,B,H) at the output, dstate at the last step's states. dy must be
    zero past a sequence's end. Raises ValueError for other shapes or names."""
    cell = get_cell(cell)
    dstate = checks.mapping("dstate", dstate, tuple(steps.states))
    found = [np.zeros(history[1:].shape) for history in steps.states.values()]
    for part, name in zip(found, steps.states, strict=True):
        if name == cell.output:
            part += checks.array_like("dy", dy, part.shape, part)
        if name in dstate:
            part[-1] += checks.array_like(f"dstate {name!r}", dstate[name], part[-1].shape, part)
    return np.concatenate(found, axis=2)


def named(params: Mapping[str, np.ndarray], flat: np.ndarray) -> dict[str, np.ndarray]:
    """(P,) -> name -> array."""
    found, first = {}, 0
    for name, p in params.items():
        size = np.size(p)
        found[name] = flat[first : first + size].reshape(np.shape(p))
        first += size
    return found


def rtrl(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Online:
    """The gradient of Σ_t L_t, with gradient dy_t at y_t, and dstate at the final states."""
    steps = linearised(cell, params, x, state, lengths, inputs)
    T, B, n, P = steps.F.shape
    checks.array_like("dy", dy, steps.y.shape, steps.y)
    if lengths is not None:
        dy = np.where(np.arange(T)[:, None, None] < np.reshape(lengths, (1, B, 1)), dy, 0)
    incoming = signals(cell, steps, dy, dstate)
    influence = np.zeros((B, n, P))
    initial = np.zeros((B, n, n)) + np.eye(n)
    by_step, dinitial = np.zeros((T, P)), np.zeros((B, n))
    for t in range(T):
        for b in range(B):
            influence[b] = steps.J[t, b] @ influence[b] + steps.F[t, b]
            initial[b] = steps.J[t, b] @ initial[b]
            by_step[t] += incoming[t, b] @ influence[b]
            dinitial[b] += incoming[t, b] @ initial[b]
    widths = [history.shape[2] for history in steps.states.values()]
    parts = np.split(dinitial, np.cumsum(widths)[:-1], axis=1)
    dstate0 = dict(zip(steps.states, parts, strict=True))
    return Online(named(params, by_step.sum(axis=0)), dstate0, by_step)
