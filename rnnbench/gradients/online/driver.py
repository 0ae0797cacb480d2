"""The one driver of online algorithms: steps of a cell on a target, and a gradient at any step."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import (
    as_array,
    check_array,
    check_count,
    check_inputs,
    check_lengths,
    check_states,
)
from rnnbench.errors import InputError, shown, unknown
from rnnbench.gradients.online.algorithm import Algorithm, Network
from rnnbench.gradients.online.eligibility import RFLO, EProp
from rnnbench.gradients.online.forward_gradient import ForwardGradient
from rnnbench.gradients.online.kronecker import KFRTRL, OK
from rnnbench.gradients.online.layout import layout_of
from rnnbench.gradients.online.local import local_step
from rnnbench.gradients.online.rtrl import RTRL
from rnnbench.gradients.online.snap import SnAp
from rnnbench.gradients.online.uoro import UORO
from rnnbench.layers.layer import Layer
from rnnbench.linearised import linearise
from rnnbench.problem import Prepared
from rnnbench.spec import Cell

ALGORITHMS: dict[str, type[Algorithm]] = {
    one.name: one for one in (RTRL, SnAp, UORO, KFRTRL, OK, EProp, RFLO, ForwardGradient)
}


def get_algorithm(algorithm: str | Algorithm, **options) -> Algorithm:
    """The algorithm of that name with those options; an ``Algorithm`` is returned as it is.

    InputError for an unknown name or option, or a value that is not allowed.
    """
    if isinstance(algorithm, Algorithm):
        if options:
            raise InputError(f"{algorithm.name} is built; give its name to choose options")
        return algorithm
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise unknown("online algorithm", algorithm, ALGORITHMS)
    try:
        return ALGORITHMS[algorithm](**options)
    except TypeError as error:
        raise InputError(f"{algorithm} does not take {', '.join(options)}") from error


class OnlineGradients(NamedTuple):
    """params name -> array, summed over the batch. state: with respect to the initial states,
    name -> (B,width); None where the algorithm does not carry it."""

    params: dict[str, np.ndarray]
    state: dict[str, np.ndarray] | None


class Online:
    """A cell that runs one step at a time, with what an algorithm carries for its gradients.

    algorithm: a name of ``ALGORITHMS`` (its default options) or what ``get_algorithm`` gives.
    target: one with the calls of ``rnnbench.target.Target`` and with ``linearise``. cell: by name
    or object; no layer. params: name -> array, or what ``target.prepare`` made of them; batch: B;
    state: the initial states, name -> (B,width), zeros where missing. What is carried does not
    grow with the steps. InputError, before anything runs, for what does not fit.
    """

    def __init__(
        self,
        algorithm: str | Algorithm,
        target,
        cell: str | Cell,
        params: Mapping | Prepared,
        batch: int,
        state: Mapping[str, np.ndarray] | None = None,
    ):
        algorithm = copy.copy(get_algorithm(algorithm))
        check_target(target)
        if isinstance(cell, Layer):
            raise InputError(f"{type(cell).__name__} is a layer; an online algorithm takes a cell")
        self.target, self.cell = target, get_cell(cell)
        self.prepared = self._prepare(params)
        self.sizes, self.dtype = self.prepared.sizes, self.prepared.dtype
        self.batch, self.t = check_count("batch", batch), 0
        self.state = check_states("state", self.cell, state, batch, self.sizes, self.dtype)
        self.layout = layout_of(self.cell.spec, self.sizes)
        self.runs: np.ndarray | None = None  # which sequences had the latest step; None: all
        self.algorithm = algorithm
        algorithm.start(
            Network(target, self.cell, self.layout, self.prepared.params, batch, self.dtype)
        )

    def _prepare(self, params: Mapping | Prepared) -> Prepared:
        if not isinstance(params, Prepared):
            return self.target.prepare(self.cell, params)
        if params.cell.contents != self.cell.contents:
            given, wanted = params.cell.name, self.cell.name
            raise InputError(f"parameters were prepared for {given}, not for {wanted}")
        return params

    def replace(self, params: Mapping | Prepared) -> None:
        """Go on with other parameters of the same shapes, as online learning does at every step.

        What was carried stays as it is, so that gradients mix the parameters of all steps so far
        (Williams & Zipser 1989: close to the gradient where they change slowly).
        """
        ready = self._prepare(params)
        if ready.sizes != self.sizes or ready.dtype != self.dtype:
            given = f"{ready.dtype}, {ready.sizes}"
            raise InputError(f"parameters are {given}; need {self.dtype}, {self.sizes}")
        self.prepared = ready

    def step(self, x, inputs: Mapping | None = None, runs=None) -> np.ndarray:
        """One step: x (B,I) -> y (B,H). inputs: name -> (B,width) or (B,), what the cell is given
        beside x (defaults count on from step to step). runs (B,) bool: the sequences that have
        this step; the others keep their state, and their y is 0."""
        x = check_array("x", x, 2, self.dtype)
        if x.shape != (self.batch, self.sizes["I"]):
            raise InputError(f"x has shape {x.shape}; needs {(self.batch, self.sizes['I'])}")
        self.runs = check_runs(runs, self.batch)
        lengths = None if self.runs is None else self.runs.astype(np.int64)
        forward = self.target.forward(
            self.cell, self.prepared, x[None], self.state, lengths, self._inputs(inputs)
        )
        self._problem = forward.tape.problem
        linearised, through = linearise(self.target, forward.tape), self.algorithm.through_matrices
        with np.errstate(all="ignore"):  # an overflow is the caller's to see, as in the kernels
            step = local_step(self.layout, linearised, 0, self.target.matmul, through)
            self.algorithm.advance(step)
        # copies: a view may hold a tape's whole memory
        self.state = {name: history[-1].copy() for name, history in forward.states.items()}
        self.t += 1
        return forward.y[0].copy()

    def _inputs(self, given: Mapping | None) -> dict[str, np.ndarray]:
        """This step's inputs, as a sequence of one step."""
        if given is not None and not isinstance(given, Mapping):
            raise InputError(f"inputs is a {type(given).__name__}; needs a mapping name -> array")
        given = {name: v for name, v in (given or {}).items() if v is not None}
        found = {name: as_array(f"input {name}", v)[None] for name, v in given.items()}
        for one in self.cell.spec.inputs:
            if one.name not in found and one.default is not None:
                found[one.name] = one.made(self.t, 1, self.batch, self.sizes, self.dtype)
        return found

    def gradient(self, dy=None, dstate: Mapping | None = None) -> OnlineGradients:
        """The gradients of a loss of the latest step, through all steps so far.

        dy (B,H): its gradient at y (no effect where the sequence did not have the step); dstate:
        name -> (B,width), at the states. Missing ones are zero. Gradients of several steps' losses
        add up. InputError before the first step.
        """
        if self.t == 0:
            raise InputError("a gradient before the first step; call step first")
        spec, layout = self.cell.spec, self.layout
        ds = check_states("dstate", self.cell, dstate, self.batch, self.sizes, self.dtype)
        if dy is not None:
            dy = check_array("dy", dy, 2, self.dtype)
            if dy.shape != (self.batch, self.signal_width):
                needed = self.batch, self.signal_width
                raise InputError(f"dy has shape {dy.shape}; needs {needed}")
            if self.runs is not None:
                dy = np.where(self.runs[:, None], dy, self.dtype.type(0))
            ds[spec.output] = ds[spec.output] + self.algorithm.signal(dy)
        signal = np.concatenate([ds[name] for name in layout.states], axis=1)
        params = self.algorithm.gradients(signal, self._trained)
        initial = self.algorithm.initial(signal)
        if initial is None:
            return OnlineGradients(params, None)
        state = {name: initial[:, at].copy() for name, at in layout.states.items()}
        return OnlineGradients(params, state)

    @property
    def signal_width(self) -> int:
        """The width of the gradient dy that ``gradient`` takes: y's, or the algorithm's own."""
        spec = self.cell.spec
        return self.algorithm.signal_width(self.sizes[spec.state(spec.output).width])

    def _trained(self, used: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients at the trained matrices, from those at the ones that are used."""
        return self.target.trained(self._problem, OnlineGradients(used, None)).params


def check_target(target) -> None:
    """InputError unless it is a target that gives the slopes of its steps."""
    if not hasattr(target, "forward"):
        raise InputError(f"target is {shown(target)}; needs an object, as get_target makes it")
    if not hasattr(target, "linearise"):
        linearise(target, None)  # says so


def check_runs(runs, batch: int) -> np.ndarray | None:
    """(B,) bool; None where all run."""
    if runs is None:
        return None
    array = as_array("runs", runs)
    if array.dtype != bool or array.shape != (batch,):
        raise InputError(f"runs are {array.dtype}{array.shape}; need bool ({batch},)")
    return None if array.all() else array.copy()


class OnlineRun(NamedTuple):
    """params: summed over the steps; state: name -> (B,width), with respect to the initial states,
    None where the algorithm does not carry it; y (T,B,H); final: the final states; loss: the sum
    of the steps' losses, None where the upstream gives none."""

    params: dict[str, np.ndarray]
    state: dict[str, np.ndarray] | None
    y: np.ndarray
    final: dict[str, np.ndarray]
    loss: Any


def run(
    algorithm: str | Algorithm,
    target,
    cell: str | Cell,
    params: Mapping | Prepared,
    x: np.ndarray,
    upstream: np.ndarray | Callable,
    state: Mapping[str, np.ndarray] | None = None,
    lengths=None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> OnlineRun:
    """An algorithm over a whole sequence x (T,B,I), the parameters held: Σ over steps of the
    gradients of the steps' losses.

    upstream: the gradient dy (T,B,H) at y, or a callable ``(t, y_t) -> dy_t`` or
    ``-> (loss, dy_t)``; lengths (B,): 0 to T; dstate: name -> (B,width), gradient at the final
    states; inputs: what the steps are given beside x, over all T. InputError as ``Online`` raises.
    """
    x = check_array("x", x, 3)
    if 0 in x.shape:
        raise InputError(f"x has shape {x.shape}; needs (T, B, I), each at least 1")
    T, B, _ = x.shape
    lengths = check_lengths(lengths, T, B)
    online = Online(algorithm, target, cell, params, B, state)
    sizes, dtype = online.sizes, online.dtype
    x = check_array("x", x, 3, dtype)
    inputs = check_inputs(online.cell, inputs, T, B, sizes, dtype)
    dstate = check_states("dstate", online.cell, dstate, B, sizes, dtype)
    upstream_of = step_upstream(upstream, (T, B, online.signal_width), dtype)
    y, losses, total = None, [], None
    for t in range(T):
        now = {name: values[t] for name, values in inputs.items()}
        y_t = online.step(x[t], now, t < lengths)
        y = np.empty((T, *y_t.shape), dtype) if y is None else y
        y[t] = y_t
        loss, dy = upstream_of(t, y_t)
        losses += [] if loss is None else [loss]
        found = online.gradient(dy, dstate if t == T - 1 else None)
        total = found if total is None else added(total, found)
    loss = sum(losses) if losses else None
    return OnlineRun(total.params, total.state, y, online.state, loss)


def step_upstream(upstream, shape: tuple[int, int, int], dtype) -> Callable:
    """(t, y_t) -> (loss or None, dy_t) for either kind of upstream."""
    if not callable(upstream):
        dy = check_array("upstream", upstream, 3, dtype)
        if dy.shape != shape:
            raise InputError(f"upstream has shape {dy.shape}; needs {shape}")
        return lambda t, y: (None, dy[t])

    def call(t, y):
        found = upstream(t, y)
        if isinstance(found, tuple) and len(found) != 2:
            raise InputError(f"upstream gave {len(found)} values; needs dy or (loss, dy)")
        loss, dy = found if isinstance(found, tuple) else (None, found)
        if dy is None:
            raise InputError(f"upstream gave no dy for step {t}; needs {shape[1:]}")
        return loss, dy

    return call


def added(a: OnlineGradients, b: OnlineGradients) -> OnlineGradients:
    """The sum of two steps' gradients."""
    params = {name: np.asarray(v + b.params[name]) for name, v in a.params.items()}
    if a.state is None:
        return OnlineGradients(params, None)
    return OnlineGradients(params, {name: v + b.state[name] for name, v in a.state.items()})
