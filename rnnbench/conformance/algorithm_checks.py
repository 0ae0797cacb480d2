"""What verify asks of the gradient algorithms: each against the reference's own derivation.

Checkpointing, a hybrid and real-time recurrent learning must give full backpropagation's gradient;
truncated and reweighted ones, what the reference's plain loops give. Which of them a cell is
checked with changes from cell to cell; a thorough check takes all.
"""

from collections.abc import Callable, Iterator

import numpy as np

import rnnbench_reference as reference
from rnnbench.conformance.comparisons import Result, allowance, compare
from rnnbench.conformance.kernel_checks import Context, as_double, everything
from rnnbench.gradients import online
from rnnbench.gradients.checkpointing import optimal_checkpointing, revolve, sqrt_checkpointing
from rnnbench.gradients.hybrid import hybrid
from rnnbench.gradients.runner import run
from rnnbench.gradients.truncation import truncated, weighted
from rnnbench.params import Case, random_case
from rnnbench.target import reference_cell
from rnnbench_reference.truncation import truncated as reference_truncated
from rnnbench_reference.truncation import weighted as reference_weighted

FACTORS = {1: 1.5, 3: 0.0, 4: 0.5}  # on the gradient at an edge; no 1


def arrays(found) -> dict[str, np.ndarray]:
    """The gradients of a run by name, those that the algorithm gives."""
    named = {f"d{name}": value for name, value in found.params.items()}
    named |= {"dx": found.x} if getattr(found, "x", None) is not None else {}
    return named | {f"d{name}[0]": value for name, value in (found.state or {}).items()}


def given(case: Case) -> dict:
    """What the runners take by keyword."""
    fields = ("state", "lengths", "dstate", "inputs")
    return {name: getattr(case, name) for name in fields}


def full(case: Case) -> dict[str, np.ndarray]:
    found = everything(TARGET, as_double(case))
    return {name: value for name, value in found.items() if name[0] == "d"}


def full_but_x(case: Case) -> dict[str, np.ndarray]:
    """What an algorithm that goes forward in time gives of it."""
    return {name: value for name, value in full(case).items() if name != "dx"}


def by_reference(algorithm: Callable, *options) -> Callable:
    def want(case: Case) -> dict[str, np.ndarray]:
        c = as_double(case)
        slow = reference_cell(c.cell)
        return arrays(algorithm(slow, c.params, c.x, c.dy, *options, **given(c)))

    return want


def by_schedule(schedule: Callable) -> Callable:
    def got(c: Context, case: Case) -> dict[str, np.ndarray]:
        steps = schedule(len(case.x))
        return arrays(run(steps, c.target, case.cell, case.params, case.x, case.dy, **given(case)))

    return got


def by_hybrid(c: Context, case: Case) -> dict[str, np.ndarray]:
    return arrays(hybrid(c.target, case.cell, case.params, case.x, case.dy, 2, **given(case)))


def by_rtrl(c: Context, case: Case) -> dict[str, np.ndarray]:
    found = online.run("rtrl", c.target, case.cell, case.params, case.x, case.dy, **given(case))
    return arrays(found)


class _Reference:
    """The reference with a target's two calls."""

    @staticmethod
    def forward(cell, *arguments):
        return reference.forward(reference_cell(cell), *arguments)

    backward = staticmethod(reference.backward)


TARGET = _Reference()
# name -> (what the target gives, what it should be)
CHECKED = {
    "truncated": (
        by_schedule(lambda T: truncated(T, 2, 3)),
        by_reference(reference_truncated, 2, 3),
    ),
    "reweighted": (
        by_schedule(lambda T: weighted(T, FACTORS)),
        by_reference(reference_weighted, FACTORS),
    ),
    "sqrt checkpointing": (by_schedule(sqrt_checkpointing), full),
    "optimal checkpointing": (by_schedule(lambda T: optimal_checkpointing(T, 2)), full),
    "revolve": (by_schedule(lambda T: revolve(T, 3)), full),
    "hybrid": (by_hybrid, full_but_x),
    "rtrl": (by_rtrl, full_but_x),
}


def check_algorithms(c: Context) -> Iterator[Result]:
    """Some of the gradient algorithms (all where thorough) on a ragged case."""
    names = [name for name in CHECKED if name != "rtrl" or hasattr(c.target, "linearise")]
    sizes = {"T": 5, "B": 2, "H": 3} if c.quick else {"T": 6, "B": 3, "H": 5}
    case = random_case(c.cell, **sizes, dtype=c.dtype, seed=15)
    for name in names if c.thorough else [names[c.turn % len(names)]]:
        got, want = CHECKED[name]
        yield from compare(name, got(c, case), want(case), allowance(c.dtype, case), c.dtype)
