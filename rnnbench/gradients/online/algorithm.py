"""What an online algorithm is: it carries something from step to step, and knows at every step how
a loss of that step's states depends on the parameters.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rnnbench.checks import as_array
from rnnbench.errors import InputError, shown
from rnnbench.gradients.online.layout import Layout
from rnnbench.gradients.online.local import LocalStep
from rnnbench.spec import Cell

Signs = Callable[[tuple[int, ...]], np.ndarray]


class Network(NamedTuple):
    """What an algorithm is started for. params: those that the steps use (transforms applied)."""

    target: object
    cell: Cell
    layout: Layout
    params: Mapping[str, np.ndarray]
    batch: int
    dtype: np.dtype


class Algorithm:
    """An object is a choice of options; ``Online`` starts a copy of it.

    kind: "exact", "unbiased" (its mean over the random signs is exact) or "biased". time, memory:
    the order of what one step of one sequence costs, in the letters of ``layout.py``, with P for
    the parameters and S for how many states the cell has (an LSTM 2). Where a step multiplies by a
    matrix what another one gave, finding its Jacobian costs H³ on top.
    """

    name = ""
    source = ""
    kind = "exact"
    time = memory = ""
    through_matrices = True  # False: wants steps without the paths through matrices

    def start(self, network: Network) -> None:
        """Begin a sequence."""
        raise NotImplementedError

    def advance(self, step: LocalStep) -> None:
        """One more step."""
        raise NotImplementedError

    def contract(self, ds: np.ndarray) -> np.ndarray:
        """The gradient at every entry (N,), summed over the batch, of a loss with gradient ds
        (B,n) at the present states."""
        raise NotImplementedError

    def gradients(self, ds: np.ndarray, trained: Callable) -> dict[str, np.ndarray]:
        """The same at the parameters. trained: gradients at the matrices that are used -> at the
        trained ones."""
        return trained(self.network.layout.collect(self.contract(ds)))

    def initial(self, ds: np.ndarray) -> np.ndarray | None:
        """The gradient at the initial states (B,n); None where the algorithm does not carry it."""
        return None

    def signal_width(self, output_size: int) -> int:
        """The width of the upstream gradient dy that it takes."""
        return output_size

    def signal(self, dy: np.ndarray) -> np.ndarray:
        """The gradient at y (B,H), from the upstream one."""
        return dy


def sign_source(signs, dtype: np.dtype) -> Signs:
    """A function from a shape to that many independent ±1.

    signs: a seed, a ``numpy.random.Generator``, or such a function itself (for enumerating all
    signs). InputError for anything else.
    """
    if callable(signs):
        return lambda shape: check_signs(signs(shape), shape).astype(dtype)
    seed = isinstance(signs, int | np.integer) and not isinstance(signs, bool) and signs >= 0
    if not seed and not isinstance(signs, np.random.Generator):
        what = "a seed, a numpy.random.Generator or a function of a shape"
        raise InputError(f"signs are {shown(signs)}; need {what}")
    rng = np.random.default_rng(signs)
    return lambda shape: (2 * rng.integers(0, 2, shape) - 1).astype(dtype)


def check_signs(signs, shape: tuple[int, ...]) -> np.ndarray:
    """InputError unless all are ±1, in that shape: with other numbers a mean would be off."""
    signs = as_array("signs", signs)
    if signs.shape != shape or signs.dtype.kind not in "iuf" or not (np.abs(signs) == 1).all():
        raise InputError(f"signs gave {shown(signs)}; need 1 or -1 in the shape {shape}")
    return signs


def balance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """√(|a| / |b|) of each row's Euclidean norm, (B,); 1 where either vanishes.

    The scale of two factors that makes the variance of their random sum least: any other positive
    number would leave the mean as it is. Norms in float64: squares leave float32's range early.
    """
    norms = [
        np.sqrt(np.square(v.reshape(len(v), -1), dtype=np.float64).sum(axis=1)) for v in (a, b)
    ]
    both = (norms[0] > 0) & (norms[1] > 0)
    first, second = (np.sqrt(np.where(both, norm, 1)) for norm in norms)
    return (first / second).astype(a.dtype)
