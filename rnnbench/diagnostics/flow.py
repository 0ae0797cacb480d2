"""How a gradient grows or dies on its way back through time, for any cell on any target.

s_t are all states after t steps (those of all names side by side, S numbers), J_t = ∂s_{t+1}/∂s_t
the recurrent Jacobian of a step, h_T the output state at the end:

    ∂h_T/∂s_t = E J_{T−1} J_{T−2} ⋯ J_t            E picks the output state's rows

Norms of these products that fall or rise by a factor a step are the vanishing and the exploding
gradient: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013,
arXiv:1211.5063, section 2. Nothing here knows a cell: a row of J_t is what one step's ``backward``
gives for a unit vector. Products are rescaled at every step, so that norms far outside the range of
float64 come out right; they are returned as logarithms to base 10.

Letters: T time steps, B batch, I input size, S numbers in all states of a sequence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_array, check_count, check_inputs, check_states, infer_sizes
from rnnbench.errors import InputError
from rnnbench.spec import Cell

BLOCK = 2**22  # numbers of J held at a time
ROWS = 512  # sequences of one step that a call should have at least


@dataclass(frozen=True)
class Path:
    """A forward pass to look back along. states: name -> (T+1,B,width); inputs: over all T."""

    target: object
    cell: Cell
    params: Mapping[str, np.ndarray]
    x: np.ndarray
    inputs: dict[str, np.ndarray]
    states: dict[str, np.ndarray]

    @property
    def T(self) -> int:
        return self.x.shape[0]

    @property
    def B(self) -> int:
        return self.x.shape[1]

    @property
    def sizes(self) -> dict[str, int]:
        """Letter -> size."""
        return infer_sizes(self.cell, self.params, self.x.shape[2])

    @property
    def places(self) -> dict[str, slice]:
        """State name -> where it stands among the S numbers."""
        found, first = {}, 0
        for name, history in self.states.items():
            found[name] = slice(first, first + history.shape[-1])
            first += history.shape[-1]
        return found

    @property
    def S(self) -> int:
        return sum(history.shape[-1] for history in self.states.values())

    def steps(self, t0: int, t1: int, copies: int = 1):
        """Steps t0 … t1−1 from the states they began at, side by side: one step of
        copies·(t1−t0)·B sequences, in this order. Returns the target's forward with its tape."""

        def flat(values):
            rows = values[t0:t1].reshape(-1, *values.shape[2:])
            return np.tile(rows, (copies, *[1] * (rows.ndim - 1)))

        x = flat(self.x)[None]
        state = {name: flat(history) for name, history in self.states.items()}
        inputs = {name: flat(values)[None] for name, values in self.inputs.items()}
        return self.target.forward(self.cell, self.params, x, state, None, inputs)


class Flow(NamedTuple):
    """log₁₀ ‖∂h_T/∂s_t‖ by lag T−t: slot 0 is t = T, the identity; each (T+1,B).

    spectral: the largest singular value, what the most favoured direction has left. frobenius: the
    root of the sum of all squares. by_state: spectral norms of the columns of one state alone,
    name -> (T+1,B). −inf where a product is exactly zero, NaN where it is not finite.
    """

    spectral: np.ndarray
    frobenius: np.ndarray
    by_state: dict[str, np.ndarray]


def follow(
    target,
    cell: str | Cell,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Run a cell over x (T,B,I), all sequences of T steps, and keep the states.

    target: anything with the calls of ``rnnbench.target.Target``; the other arguments are those of
    its ``forward``, which raises InputError for what is wrong with them. params: no prepared ones.
    """
    cell = get_cell(cell)
    run = target.forward(cell, params, x, state, None, inputs, tape=False)
    x = np.asarray(x)
    T, B, I = x.shape
    # over the whole sequence: a default such as the step's number must not start anew at a step
    given = check_inputs(cell, inputs, T, B, infer_sizes(cell, params, I), x.dtype)
    return Path(target, cell, params, x, given, dict(run.states))


def step_jacobians(path: Path, t0: int, t1: int) -> np.ndarray:
    """J_t of steps t0 … t1−1: (t1−t0,B,S,S), [i,j] = ∂s_{t+1}[i]/∂s_t[j].

    InputError unless 0 ≤ t0 < t1 ≤ T.
    """
    t0, t1 = check_count("t0", t0, 0), check_count("t1", t1)
    if not t0 < t1 <= path.T:
        raise InputError(f"steps {t0} to {t1} are not among the path's T={path.T}")
    rows, S = (t1 - t0) * path.B, path.S
    together = min(S, -(-ROWS // rows))  # rows of J at a time
    tape = path.steps(t0, t1, together).tape  # may be used again and again: forward runs once
    found = np.empty((rows, S, S), path.x.dtype)
    for first in range(0, S, together):
        last = min(first + together, S)
        units = np.zeros((together, rows, S), path.x.dtype)
        units[range(last - first), :, range(first, last)] = 1
        after = {
            name: units[..., at].reshape(together * rows, -1) for name, at in path.places.items()
        }
        before = path.target.backward(tape, None, after).state
        for name, at in path.places.items():
            values = before[name].reshape(together, rows, -1)[: last - first]
            found[:, first:last, at] = values.swapaxes(0, 1)
    return found.reshape(t1 - t0, path.B, S, S)


def jacobians_backwards(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """(t, J_t (B,S,S)) for t = T−1 … 0; a block of steps at a time, so that memory is bounded."""
    size = max(1, BLOCK // (path.B * path.S**2))
    for t1 in range(path.T, 0, -size):
        t0 = max(0, t1 - size)
        block = step_jacobians(path, t0, t1)
        for t in reversed(range(t0, t1)):
            yield t, block[t - t0]


def gradient_flow(path: Path) -> Flow:
    """The norms of ∂h_T/∂s_t for t = T … 0, by lag T−t."""
    E = np.eye(path.S, dtype=path.x.dtype)[path.places[path.cell.spec.output]]
    product = np.repeat(E[None], path.B, axis=0)
    scale = np.zeros(path.B)  # log₁₀ of what the product was divided by
    found = [_norms(path, product, scale)]
    for _, jacobian in jacobians_backwards(path):
        with np.errstate(all="ignore"):
            product = product @ jacobian
            largest = np.abs(product).max(axis=(1, 2))
            divisor = np.where((largest > 0) & (largest < np.inf), largest, 1)
            product = product / divisor[:, None, None]
            scale = scale + np.log10(divisor.astype(np.float64))
        found.append(_norms(path, product, scale))
    spectral, frobenius, parts = zip(*found, strict=True)
    by_state = {name: np.stack([p[name] for p in parts]) for name in path.places}
    return Flow(np.stack(spectral), np.stack(frobenius), by_state)


def _norms(path: Path, product: np.ndarray, scale: np.ndarray) -> tuple:
    """One slot of ``Flow``, of product · 10^scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        frobenius = np.log10(np.sqrt(np.square(product).sum(axis=(1, 2), dtype=np.float64)))
        spectral = np.log10(largest_singular(product))
        parts = {
            name: np.log10(largest_singular(product[:, :, columns])) + scale
            for name, columns in path.places.items()
        }
    return spectral + scale, frobenius + scale, parts


def largest_singular(matrices: np.ndarray) -> np.ndarray:
    """(B,) of matrices (B,rows,columns); NaN for a matrix that is not finite."""
    return _of_finite(lambda m: np.linalg.svd(m, compute_uv=False)[..., 0], matrices)


def largest_eigenvalue(matrices: np.ndarray) -> np.ndarray:
    """The spectral radius, (B,) of square matrices (B,S,S); NaN for one that is not finite."""
    return _of_finite(lambda m: np.abs(np.linalg.eigvals(m)).max(axis=-1), matrices)


def _of_finite(function, matrices: np.ndarray) -> np.ndarray:
    """LAPACK refuses NaN and inf."""
    matrices = matrices.astype(np.float64)
    finite = np.isfinite(matrices).all(axis=(1, 2))
    found = np.full(len(matrices), np.nan)
    if finite.any():
        found[finite] = function(matrices[finite])
    return found


def spectral_radii(path: Path) -> np.ndarray:
    """|largest eigenvalue| of J_t: (T,B), t = 0 … T−1.

    Below 1 at every step a small change dies out where all J_t are alike; in general only the
    products decide, for eigenvalues of a product are not products of eigenvalues.
    """
    found = [largest_eigenvalue(jacobian) for _, jacobian in jacobians_backwards(path)]
    return np.stack(found[::-1])


def state_gradients(
    path: Path, dy: np.ndarray, dstate: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The gradient of a loss at the states after t steps: name -> (T+1,B,width), slot t.

    dy (T,B,H): the loss's gradient at y; dstate: at the final states, name -> (B,width). Slot t
    counts every way on which s_t matters: y_t, and all that follows it. Backpropagation through
    time step by step. InputError for other shapes, dtypes or names.
    """
    output, T, sizes = path.cell.spec.output, path.T, path.sizes
    dy = check_array("dy", dy, 3, path.x.dtype)
    if dy.shape != path.states[output][1:].shape:
        raise InputError(f"dy has shape {dy.shape}; needs {path.states[output][1:].shape}")
    dstate = check_states("dstate", path.cell, dstate, path.B, sizes, path.x.dtype)
    found = {name: np.zeros_like(history) for name, history in path.states.items()}
    for name, value in dstate.items():
        found[name][T] = value
    for t in reversed(range(T)):
        found[output][t + 1] += dy[t]
        after = {name: values[t + 1] for name, values in found.items()}
        before = path.target.backward(path.steps(t, t + 1).tape, None, after).state
        for name in found:
            found[name][t] = before[name]
    return found


def gradient_norms(gradients: Mapping[str, np.ndarray]) -> np.ndarray:
    """log₁₀ of the Euclidean norm over all states, by lag T−t: (T+1,B), slot 0 is t = T."""
    every = np.concatenate(list(gradients.values()), axis=-1).astype(np.float64)[::-1]
    largest = np.abs(every).max(axis=-1)
    divisor = np.where((largest > 0) & (largest < np.inf), largest, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # squares must neither overflow nor vanish
        norm = np.sqrt(np.square(every / divisor[..., None]).sum(axis=-1))
        return np.log10(norm) + np.log10(divisor)


def loss_gradient(path: Path, every: bool, seed: int = 0) -> np.ndarray:
    """dy (T,B,H) of a linear loss u_t · h_t, u_t of norm 1 in a random direction: at the last step
    alone, or at every step."""
    width = path.states[path.cell.spec.output].shape[-1]
    rng = np.random.default_rng([check_count("seed", seed, 0), 2])
    draw = rng.standard_normal((path.T, path.B, width))
    dy = draw / np.linalg.norm(draw, axis=-1, keepdims=True)
    if not every:
        dy[:-1] = 0
    return dy.astype(path.x.dtype)


def median(values: np.ndarray) -> np.ndarray:
    """Over the last axis; NaN where one is NaN."""
    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    middle = ordered[..., (n - 1) // 2 : n // 2 + 1]
    with np.errstate(invalid="ignore"):  # the mean of −inf and inf is no number
        return np.where(np.isnan(values).any(axis=-1), np.nan, middle.mean(axis=-1))


def factor(log10: np.ndarray) -> float:
    """log₁₀ of the mean factor a step of (n,B) logarithms: of the median's last over its first, to
    the power 1/(n − 1)."""
    middle = median(log10)
    steps = len(middle) - 1
    return float((middle[-1] - middle[0]) / steps) if steps else float("nan")
