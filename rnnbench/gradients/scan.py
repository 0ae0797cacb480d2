"""A parallel scan over time for cells that are linear in their states, on any target.

A step of such a cell is c_t = f_t ⊙ c_{t−1} + u_t, and neither f_t nor u_t reads a state that is
not known yet. So all T steps run at once, as one step of T·B sequences, and only the recurrence of
c itself goes through time: in 2 log₂ T passes over whole arrays, T − 1 combinations in each
direction of the tree (Blelloch 1990, "Prefix sums and their applications"; for such recurrent
networks Martin & Cundy 2018, arXiv:1709.04057). The gradient is a scan too, backwards.

The wrapped target does all of the cell's work: its forward from zero states gives u_t, its
gradient at the state before the step, for a gradient of ones after it, is f_t. ``spec.scan`` says
which states, in levels: f and u of a level may depend on the levels before.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnbench.cells import cell_names, get_cell
from rnnbench.errors import InputError
from rnnbench.problem import Problem, check_problem, check_upstream
from rnnbench.spec import Cell


class Tape(NamedTuple):
    """What ``Scan.backward`` needs: the T·B steps' tape and every scanned state's f (T,B,width)."""

    problem: Problem
    steps: object
    slopes: dict[str, np.ndarray]


class Scan:
    """A target that runs the steps of a cell in parallel on another target.

    The same calls and the same results as ``rnnbench.target.Target``, up to rounding; InputError
    for a cell whose spec names no states to scan.
    """

    def __init__(self, target):
        self.target = target
        self.name = f"scan on {target.name}"
        self.dtypes = target.dtypes

    def matmul(self, a, b) -> np.ndarray:
        return self.target.matmul(a, b)

    def forward(
        self,
        cell: str | Cell,
        params: Mapping,
        x,
        state: Mapping | None = None,
        lengths=None,
        inputs: Mapping | None = None,
        tape: bool = True,
    ):
        """y (T,B,H), states name -> (T+1,B,width) and a tape, as of ``Target.forward``."""
        problem = check_problem(cell, params, x, state, lengths, inputs)
        if not problem.spec.scan:
            raise InputError(
                f"cell {problem.cell.name} is not linear in its states; "
                f"a scan runs {', '.join(scannable())}"
            )
        before, slopes = {}, {}  # name -> (T,B,width), the state before each step
        for level in problem.spec.scan:
            result = self._step(problem, before)
            ones = {name: np.ones_like(result.states[name][-1]) for name in level}
            found = self.target.backward(result.tape, None, ones).state
            for name in level:
                slopes[name] = unfold(problem, found[name])
                fresh = unfold(problem, result.states[name][-1])
                before[name] = recurrence(slopes[name], fresh, problem.state[name])[:-1]
        result = self._step(problem, before)
        states = {name: history(problem, name, v[-1]) for name, v in result.states.items()}
        y = unfold(problem, result.y[0])
        for array in (y, *states.values()):
            array.flags.writeable = False
        kept = Tape(problem, result.tape, slopes) if tape else None
        return result._replace(y=y, states=states, tape=kept)

    def backward(self, tape, dy=None, dstate: Mapping | None = None):
        """The gradients of every input, as of ``Target.backward``."""
        if not isinstance(tape, Tape):
            raise InputError(f"tape is a {type(tape).__name__}; needs one of target {self.name}")
        problem = tape.problem
        dy, final = check_upstream(problem, dy, dstate)
        dy = dy.reshape(1, -1, dy.shape[-1])
        # name -> (T,B,width), the gradient after each step; nothing reads an unscanned state
        # again, so its gradient enters at the last step (and passes the frozen ones)
        last = np.arange(problem.T)[:, None, None] >= problem.lengths[:, None] - 1
        after = {
            name: np.where(last, g, g.dtype.type(0))
            for name, g in final.items()
            if name not in tape.slopes
        }
        for level in reversed(problem.spec.scan):
            found = self.target.backward(tape.steps, dy, flat(after)).state
            for name in level:
                f, k = tape.slopes[name], unfold(problem, found[name])
                after[name] = recurrence(f[::-1], k[::-1], final[name])[-2::-1]
        result = self.target.backward(tape.steps, dy, flat(after))
        initial = {name: unfold(problem, g)[0].copy() for name, g in result.state.items()}
        return result._replace(x=unfold(problem, result.x[0]), state=initial)

    def _step(self, problem: Problem, before: Mapping[str, np.ndarray]):
        """One step of T·B sequences, from those states (zeros where missing)."""
        p = problem
        lengths = (np.arange(p.T)[:, None] < p.lengths).astype(np.int64).reshape(-1)
        inputs = {name: v.reshape(1, -1, *v.shape[2:]) for name, v in p.inputs.items()}
        x = p.x.reshape(1, -1, p.x.shape[-1])
        return self.target.forward(p.cell, p.params, x, flat(before), lengths, inputs)


def scannable() -> list[str]:
    """The cells that a scan runs, as they are without options."""
    return [name for name in cell_names() if get_cell(name).spec.scan]


def flat(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(T,B,width) as (T·B,width)."""
    return {name: v.reshape(-1, v.shape[-1]) for name, v in arrays.items()}


def unfold(problem: Problem, array: np.ndarray) -> np.ndarray:
    """(T·B,width) as (T,B,width)."""
    return array.reshape(problem.T, problem.B, -1)


def history(problem: Problem, name: str, new: np.ndarray) -> np.ndarray:
    """(T+1,B,width): the initial state, then the new ones, frozen past a sequence's end."""
    values = np.concatenate([problem.state[name][None], unfold(problem, new)])
    slot = np.minimum(np.arange(problem.T + 1)[:, None], problem.lengths)
    return values[slot, np.arange(problem.B)]


def recurrence(f: np.ndarray, u: np.ndarray, start: np.ndarray) -> np.ndarray:
    """c_0 = start, c_t = f_t ⊙ c_{t−1} + u_t: f, u (T,…) -> c (T+1,…)."""
    return scan(np.concatenate([np.zeros_like(start)[None], f]), np.concatenate([start[None], u]))


def scan(f: np.ndarray, u: np.ndarray) -> np.ndarray:
    """c_t = f_t ⊙ c_{t−1} + u_t from c_{−1} = 0, along axis 0: f, u (n,…) -> c (n,…).

    Two neighbouring steps are one step of half the sequence: that gives every second c, and one
    more step the others.
    """
    if len(u) == 1:
        return u
    odd = f[1::2]
    pairs = len(odd)
    c = np.empty_like(u)
    c[0] = u[0]
    c[1::2] = scan(
        affine(odd, f[::2][:pairs], odd.dtype.type(0)), affine(odd, u[::2][:pairs], u[1::2])
    )
    c[2::2] = affine(f[2::2], c[1::2][: len(f[2::2])], u[2::2])
    return c


def affine(f: np.ndarray, c: np.ndarray, u: np.ndarray) -> np.ndarray:
    """f c + u; u alone where f is 0: a NaN does not outlive the state that was replaced."""
    with np.errstate(all="ignore"):  # overflow is the caller's to see, as in the kernels
        return np.where(f == 0, u, f * c + u)
