"""What a target is: the same three calls on the reference, the CPU and the GPU.

``get_target("cpu").forward(cell, params, x, state, lengths)`` and so on. Gradient schedules,
layers and tasks receive a target and never import one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import DTYPES, check_array
from rnnbench.errors import InputError, unknown
from rnnbench.problem import Prepared, Problem, check_params, check_problem, check_upstream
from rnnbench.spec import Cell

TARGETS = ("cpu", "cuda", "plain", "reference")


class Forward(NamedTuple):
    """y (T,B,H), zero past a sequence's end; states name -> (T+1,B,width), slot 0 the initial
    state, frozen past the end; tape, to be handed to ``backward``."""

    y: np.ndarray
    states: dict[str, np.ndarray]
    tape: object


class Gradients(NamedTuple):
    """Gradients of every input: params name -> array; x (T,B,I); state name -> (B,width)."""

    params: dict[str, np.ndarray]
    x: np.ndarray
    state: dict[str, np.ndarray]


class Target:
    """Checks at the edge, then ``run_forward``/``run_backward``/``run_matmul`` of a subclass.

    copies: the tape holds what ``check_problem`` returns, so that must not be the caller's.
    """

    name: str
    Tape: type  # what this target's forward leaves; has ``problem``
    dtypes: tuple[str, ...] = DTYPES
    copies = True
    by_rows = False  # it takes any x and dy whose rows are contiguous (``check_array``)

    def prepare(self, cell: str | Cell, params: Mapping) -> Prepared:
        """Parameters to be given to this target's ``forward`` many times, in place of the arrays.

        They are checked, transformed and laid out once; arrays changed later change nothing.
        """
        cell = get_cell(cell)
        sizes, arrays = check_params(cell, params, None)
        dtype = next(iter(arrays.values())).dtype
        return Prepared(cell, sizes, dtype, self.used(cell, dtype, arrays), self)

    def forward(
        self,
        cell: str | Cell,
        params: Mapping | Prepared,
        x,
        state: Mapping | None = None,
        lengths=None,
        inputs: Mapping | None = None,
        tape: bool = True,
    ) -> Forward:
        """Run a cell over a batch of sequences.

        cell: a name of ``cell_names()``, with options as ``name[option=value]``; params: name ->
        array, shapes from the cell's spec, or what ``prepare`` made of them; x (T,B,I); state:
        state name -> (B,width), missing ones are zero; lengths (B,), 0 to T; inputs: what the
        cell's steps are given beside x (masks, timestamps), name -> (T,B,width) or (T,B); tape:
        keep what ``backward`` needs (else the tape is None).
        All arrays float32 or all float64, in any memory layout; none is written to.
        Raises InputError on anything else.
        """
        ready = params if isinstance(params, Prepared) else None
        if ready is not None and ready.target is not self:
            raise InputError(f"parameters prepared by another target; this one is {self.name}")
        problem = check_problem(cell, params, x, state, lengths, inputs, self.copies, self.by_rows)
        if ready is None:
            used = self.used(problem.cell, problem.dtype, problem.params)
            problem = problem._replace(params=used) if used is not problem.params else problem
        result = self.run_forward(problem, tape, ready)
        for array in (result.y, *result.states.values()):
            array.setflags(write=False)  # the tape may share them
        return result

    def backward(self, tape, dy=None, dstate: Mapping | None = None) -> Gradients:
        """Full backpropagation through the sequence that left ``tape``.

        dy (T,B,H): gradient at y (no effect past a sequence's end); dstate: state name -> (B,H),
        gradient at the final states. Missing ones are zero. A tape may be used more than once.
        """
        self.check_tape(tape)
        problem: Problem = tape.problem
        upstream = check_upstream(problem, dy, dstate, self.by_rows)
        return self.trained(problem, self.run_backward(tape, *upstream))

    def check_tape(self, tape) -> None:
        """InputError unless a forward of such a target left it."""
        if not isinstance(tape, self.Tape):
            kind = f"{type(tape).__module__}.{type(tape).__qualname__}"
            raise InputError(f"tape is a {kind}; needs the tape of a forward of target {self.name}")

    def used(self, cell: Cell, dtype, params: Mapping) -> Mapping:
        """The matrices that are used, made from the trained ones."""
        return transformed(cell, dtype, "apply", params)

    def trained(self, problem: Problem, gradients: Gradients) -> Gradients:
        """The gradients at the trained matrices, from those at the used ones."""
        params = transformed(problem.cell, problem.dtype, "adjoint", gradients.params)
        return gradients._replace(params=params)

    def run_forward(self, problem: Problem, tape: bool, ready: Prepared | None) -> Forward:
        """``ready``: what ``problem.params`` are from, where they were prepared."""
        raise NotImplementedError

    def matmul(self, a, b) -> np.ndarray:
        """a (M,K) @ b (K,N), the K order fixed: the same bits for any number of threads."""
        a, b = check_array("a", a, 2), check_array("b", b, 2)
        if a.dtype != b.dtype or a.shape[1] != b.shape[0]:
            raise InputError(f"matmul of {a.dtype}{a.shape} and {b.dtype}{b.shape}")
        return self.run_matmul(a, b)


def transformed(cell: Cell, dtype, direction: str, params: Mapping) -> Mapping:
    """Every row block of a parameter that has a transform, through it or its adjoint."""
    changed = {}
    for p in cell.spec.transformed:
        blocks = np.split(params[p.name], len(p.gates))
        mapped = [getattr(p.transform, direction)(block) for block in blocks]
        # NumPy may give M − Mᵀ columns first (of large M it does)
        changed[p.name] = np.ascontiguousarray(np.concatenate(mapped), dtype)
    return {**params, **changed} if changed else params


def reference_cell(cell: str | Cell):
    """The reference's own cell of that name and those options."""
    import rnnbench_reference as reference

    cell = get_cell(cell)
    return reference.get_cell(cell.spec.name, **cell.options)


class ReferenceTarget(Target):
    """The slow side (``rnnbench_reference``) behind the same checks; it transforms by itself."""

    name = "reference"

    class Tape(NamedTuple):
        problem: Problem
        reference: object

    def used(self, cell, dtype, params):
        return params

    def trained(self, problem, gradients):
        return gradients

    def run_forward(self, problem, tape, ready):
        import rnnbench_reference as reference

        p, cell = problem, reference_cell(problem.cell)
        run = reference.forward(cell, p.params, p.x, p.state, p.lengths, p.inputs)
        return Forward(run.y, run.states, self.Tape(problem, run.tape) if tape else None)

    def run_backward(self, tape, dy, dstate):
        import rnnbench_reference as reference

        return Gradients(*reference.backward(tape.reference, dy, dstate))

    def run_matmul(self, a, b):
        return a @ b


def get_target(name: str, **options) -> Target:
    """The target of that name. Options: ``threads`` for cpu; ``block`` and ``tile``, threads a
    block, for cuda. InputError for an unknown name or option, MissingDependency when it can't run
    here."""
    if name == "cpu":
        from rnnbench.cpu.target import CPUTarget as chosen
    elif name == "cuda":
        from rnnbench.cuda.target import CUDATarget as chosen
    elif name == "plain":
        from rnnbench.plain import PlainTarget as chosen
    elif name == "reference":
        chosen = ReferenceTarget
    else:
        raise unknown("target", name, TARGETS)
    try:
        return chosen(**options)
    except TypeError as error:
        raise InputError(f"target {name} does not take {', '.join(options)}") from error
