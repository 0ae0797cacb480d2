"""Approximations of RTRL in their textbook form, on small dense Jacobians.

J (T,B,n,n) and F (T,B,n,P) are those of ``rtrl.linearised``; incoming (T,B,n) is ∂L_t/∂s_t
(``rtrl.signals``). Each returns the gradient of every step's own loss, (T,P), summed over the
batch.
"""

from collections.abc import Mapping

import numpy as np

from .cells import get_cell
from .rtrl import STEP, Steps, linearised, signals
from .unroll import forward


def snap_mask(J: np.ndarray, F: np.ndarray, n: int) -> np.ndarray:
    """Menick et al. 2021 (arXiv:2006.07232), section 3: (states, P) bool, the entries of the
    influence that are not 0 after n steps from nothing, for some step and sequence here."""
    j = (J != 0).any(axis=(0, 1))
    f = (F != 0).any(axis=(0, 1))
    mask = f
    for _ in range(n - 1):
        mask = f | (j.astype(int) @ mask.astype(int) > 0)
    return mask


def snap(J: np.ndarray, F: np.ndarray, incoming: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Arxiv:2006.07232, eq. 4: RTRL's recursion, everything outside the mask dropped each step."""
    T, B, n, P = F.shape
    influence, found = np.zeros((B, n, P)), np.zeros((T, P))
    for t in range(T):
        for b in range(B):
            influence[b] = mask * (J[t, b] @ influence[b] + F[t, b])
            found[t] += incoming[t, b] @ influence[b]
    return found


def uoro(J: np.ndarray, F: np.ndarray, incoming: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Tallec & Ollivier 2017 (arXiv:1702.05043), algorithm 1, with ε = 0. signs (T,B,n)."""
    T, B, n, P = F.shape
    s, theta, found = np.zeros((B, n)), np.zeros((B, P)), np.zeros((T, P))
    for t in range(T):
        for b in range(B):
            nu = signs[t, b]
            forwarded, backed = J[t, b] @ s[b], nu @ F[t, b]
            rho0 = scale(theta[b], forwarded)
            rho1 = scale(backed, nu)
            s[b] = rho0 * forwarded + rho1 * nu
            theta[b] = theta[b] / rho0 + backed / rho1
            found[t] += (incoming[t, b] @ s[b]) * theta[b]
    return found


def scale(a: np.ndarray, b: np.ndarray) -> float:
    """√(|a|/|b|), 1 where either is 0."""
    a, b = np.linalg.norm(a), np.linalg.norm(b)
    return float(np.sqrt(a / b)) if a > 0 and b > 0 else 1.0


def kf_rtrl(
    J: np.ndarray, D: np.ndarray, sources: np.ndarray, incoming: np.ndarray, signs: np.ndarray
) -> np.ndarray:
    """Mujika et al. 2018 (arXiv:1805.10842), algorithm 1: F = source ⊗ D, as for a step with one
    matrix of weights, s' = f(M [source]).

    D (T,B,n,R): ∂s'/∂(M source), or ``kronecker.Products.Z`` of any cell; sources (T,B,C); signs
    (T,2,B). Returns (T,R,C), each step's gradient at M.
    """
    T, B, n, R = D.shape
    C = sources.shape[2]
    u, A, found = np.zeros((B, C)), np.zeros((B, n, R)), np.zeros((T, R, C))
    for t in range(T):
        for b in range(B):
            c1, c2 = signs[t, :, b]
            H = J[t, b] @ A[b]
            p1 = scale(H.ravel(), u[b])
            p2 = scale(D[t, b].ravel(), sources[t, b])
            u[b] = c1 * p1 * u[b] + c2 * p2 * sources[t, b]
            A[b] = c1 / p1 * H + c2 / p2 * D[t, b]
            found[t] += np.outer(incoming[t, b] @ A[b], u[b])
    return found


def stop_gradient(
    cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """What e-prop and RFLO compute: the gradient by backpropagation through time with a
    stop-gradient on what matrices multiply of the states before a step (Bellec et al. 2020, the
    remark below eq. 4; Murray 2019).

    From step to step the gradient goes back through the elementwise part of J alone; at each step
    the cell's own ``step_backward`` gives the parameters' share. dy (T,B,H), zero past an end.
    """
    cell = get_cell(cell)
    steps: Steps = linearised(cell, params, x, state, lengths, inputs, through_matrices=False)
    incoming = signals(cell, steps, dy, dstate)
    tape = forward(cell, params, x, state, lengths, inputs).tape
    widths = np.cumsum([history.shape[2] for history in steps.states.values()])[:-1]
    total = {name: np.zeros(np.shape(p)) for name, p in params.items()}
    back = np.zeros(incoming.shape[1:])
    for t in reversed(range(len(incoming))):
        back = back + incoming[t]
        rows, cache = tape.steps[t]
        if rows.size:
            parts = np.split(back[rows], widths, axis=1)
            share = cell.step_backward(params, cache, dict(zip(steps.states, parts, strict=True)))
            total = {name: g + share[0][name] for name, g in total.items()}
        back = np.stack([back[b] @ steps.J[t, b] for b in range(len(back))])
    return total


def directional(
    cell,
    params: Mapping[str, np.ndarray],
    direction: Mapping[str, np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> float:
    """∇L · v for the forward gradient (Baydin et al. 2022, arXiv:2202.08587), by the complex step
    of the whole run."""

    def as_complex(arrays):
        return {name: np.asarray(v, complex) for name, v in (arrays or {}).items()}

    moved = {k: v + 1j * STEP * direction[k] for k, v in as_complex(params).items()}
    run = forward(
        cell, moved, x.astype(complex), as_complex(state), lengths, as_complex(inputs)
    )  # fmt: skip
    value = (run.y * dy).sum()
    value += sum((run.states[k][-1] * d).sum() for k, d in (dstate or {}).items())
    return float(value.imag / STEP)
